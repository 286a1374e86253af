package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"go.uber.org/zap"
)

// The names of the alerts about feeds.
const (
	alertHeldBack = "feed_held_back"
	alertOwn      = "own_address_listed"
)

// maxOwnAlerts bounds the alerts about addresses of our own until the next start: a
// feed that lists half of our network is one piece of news, not a thousand.
const maxOwnAlerts = 100

// Complaint returns what is odd about the copy of a feed that is in use; empty = nothing.
func Complaint(s *fetch.Status) string {
	switch {
	case s.Rejected > 0 && (s.Kind == "file"):
		return fmt.Sprintf("%d rows were not understood, %d were; 'flowsnitch intel parse %s' shows them", s.Rejected, s.Parsed, s.Source)
	case s.Rejected > 0 && len(s.Samples) > 0:
		return fmt.Sprintf("%d rows were not understood, %d were; line %d is %q: %s",
			s.Rejected, s.Parsed, s.Samples[0].Line, s.Samples[0].Text, s.Samples[0].Reason)
	case s.RejectedParts > 0 && len(s.Samples) > 0:
		return fmt.Sprintf("parts of rows were not understood, %d of them; in line %d %q: %s",
			s.RejectedParts, s.Samples[0].Line, s.Samples[0].Text, s.Samples[0].Reason)
	case s.Verdict == document.Empty:
		return "nothing in it"
	}
	return ""
}

// logRefused logs what guards have refused, when it is not what was logged last.
func (d *feedService) logRefused(r lookup.Report) {
	for _, f := range r.Feeds {
		var parts []string
		for reason, n := range f.Refused {
			parts = append(parts, fmt.Sprintf("%s %d", reason, n))
		}
		slices.Sort(parts)
		if d.news("refused "+f.Feed, strings.Join(parts, ", ")) {
			d.log.Info("entries of a feed are not used; see 'flowsnitch lookup PREFIX'",
				zap.String("feed", f.Feed), zap.Strings("refused", parts))
		}
	}
}

// logComplaints logs what is odd about the documents of feeds, once each.
func (d *feedService) logComplaints() {
	for _, s := range d.status().Feeds {
		if c := Complaint(&s); d.news("complaint "+s.Name, c) {
			d.log.Warn("feed "+s.Name+": "+c, zap.String("source", s.Source))
		}
	}
}

// news remembers the latest text about a subject and reports whether it is worth logging:
// something, and not what was logged last.
func (d *feedService) news(subject, text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told[subject] == text {
		return false
	}
	d.told[subject] = text
	return text != ""
}

// alertOwnListed raises an alert for each address of our own on a list, once. Everybody's
// private space on a list is carelessness, no news.
func (d *feedService) alertOwnListed(listed []lookup.Suppression) {
	for i := range listed {
		ind := &listed[i].Indicator
		a := ind.Prefix.Addr()
		subject := ind.Feed + " " + ind.Prefix.String()
		if a.IsPrivate() || a.IsLinkLocalUnicast() || !d.firstOwn(subject) {
			continue
		}
		text := fmt.Sprintf("%s of our own networks is listed by %s; the listing is not used, but look whether a host of yours misbehaves, and ask the feed to remove it",
			ind.Prefix, ind.Feed)
		d.alert(alertOwn, text, ind)
	}
}

func (d *feedService) firstOwn(subject string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own[subject] || len(d.own) >= maxOwnAlerts {
		return false
	}
	d.own[subject] = true
	return true
}

// heldBack raises the alert of a copy that a guard did not let through.
func (d *feedService) heldBack(feed, why string) {
	kept := "the last good one stays in use"
	if k := d.current.Load(); k != nil && slices.ContainsFunc(k.manager.Status(), func(s fetch.Status) bool { return s.Name == feed && s.Taken.IsZero() }) {
		kept = "there is no other yet"
	}
	text := fmt.Sprintf("feed %s: a new copy is %s; %s; 'flowsnitch intel accept %s' takes the new one", feed, why, kept, feed)
	d.alert(alertHeldBack, text, nil)
}
