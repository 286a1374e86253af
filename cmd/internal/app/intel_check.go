package app

import (
	"cmp"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A feedCheck looks for feeds that are stale, missing or held back.
type feedCheck struct {
	limits    configs.Health
	intel     func() IntelStatus
	otherwise func() bool      // whether something is listed elsewhere
	since     func() time.Time // when the instance started
	date      func() time.Time // that can be trusted
}

func (c *feedCheck) state(now time.Time) observe.Finding {
	s, date := c.intel(), c.date()
	f := finding{observe.Finding{Unit: "s", Warning: c.limits.FeedAge.Seconds(), Critical: muchWorse * c.limits.FeedAge.Seconds()}}
	var missing, old, aged, pieces, held, unreadable []string
	for i := range s.Feeds {
		d := &s.Feeds[i]
		age, limit := d.Age(date).Seconds(), c.ageLimit(d).Seconds()
		if onTime(d, date) {
			age = min(age, limit)
		}
		f.Value = max(f.Value, age)
		switch {
		case d.Taken.IsZero() && (d.Error != "" || !d.Checked.IsZero()): // else it is under way
			why := cmp.Or(d.Error, d.Note, "no error")
			if d.Incomplete {
				why += ", its first reading is not complete"
			}
			missing = append(missing, fmt.Sprintf("%s (%s)", d.Name, why))
			f.AddKeys(d.Name)
		case age > limit:
			f.Raise(observe.Warning)
			old = append(old, fmt.Sprintf("%s is %s old (%s)", d.Name, ago(age), cmp.Or(d.Error, "no error")))
			f.AddKeys(d.Name)
		}
		if data, _ := d.DataAge(date); d.DataOld(date) {
			aged = append(aged, fmt.Sprintf("%s: the data are %s old", d.Name, ago(data.Seconds())))
			f.AddKeys(d.Name + " data")
		}
		if d.Unreadable != "" {
			unreadable = append(unreadable, fmt.Sprintf("%s (%s)", d.Name, d.Unreadable))
			f.AddKeys(d.Name + " unreadable")
		}
		if d.BadPieces > 0 && len(d.Bad) > 0 && date.Sub(d.Bad[0].Since) >= c.ageLimit(d) {
			pieces = append(pieces, fmt.Sprintf("%s (%d, the first is %s: %s)", d.Name, d.BadPieces, d.Bad[0].Name, d.Bad[0].Why))
			f.AddKeys(d.Name + " pieces")
		}
		if d.Held != "" {
			held = append(held, fmt.Sprintf("%s (%s)", d.Name, d.Held))
			f.AddKeys(d.Name + " held")
		}
	}
	f.Judge()
	if len(old) > 0 {
		f.Add("", "%s: look at the way to the provider; 'flowsnitch intel update' fetches now", named(old))
	}
	for _, p := range []struct {
		feeds  []string
		format string
	}{
		{missing, "never fetched: %s; see 'flowsnitch intel status'"},
		{pieces, "pieces of feeds cannot be read: %s; the others are used; 'flowsnitch intel status' names them"},
		{aged, "data old by their own date, though the source responds: %s; look for another source, or set max_age"},
		{unreadable, "stored copies cannot be read: %s; what is in force stays; look at the disk and the limit of open files"},
		{held, "held back: %s; 'flowsnitch intel accept FEED' takes it"},
	} {
		if len(p.feeds) > 0 {
			f.Warn("", p.format, named(p.feeds))
		}
	}
	f.quarantined(&s)
	f.setFull(&s)
	if s.Indicators == 0 && !c.otherwise() {
		f.nothingListed(len(s.Feeds), now.Sub(c.since()))
	}
	f.Otherwise("%d indicators of %d feeds, the oldest %s old", s.Indicators, len(s.Feeds), ago(f.Value))
	return f.Finding
}

// nothingListed warns that nothing can be a hit. The first feeds have some time to come.
func (f *finding) nothingListed(feeds int, age time.Duration) {
	if feeds > 0 && age < firstFeedWithin {
		f.Warn("empty", "nothing is listed yet, so nothing can be a hit: the feeds are on their way")
		return
	}
	f.AtLeast(observe.Critical)
	f.Add("empty", "nothing is listed, so nothing can be a hit: see 'flowsnitch intel status'")
}

// ageLimit is how old a feed may be: one that is asked often is known to be stale soon.
func (c *feedCheck) ageLimit(d *fetch.Status) time.Duration {
	return min(c.limits.FeedAge, max(time.Duration(ageFactor*d.IntervalSeconds*float64(time.Second)), leastAge))
}

// onTime reports whether a feed is as fresh as it can be, however seldom it is asked.
func onTime(d *fetch.Status, date time.Time) bool {
	return d.Failures == 0 && d.Error == "" && d.Next.After(date)
}

// quarantined reports entries that wait for a decision.
func (f *finding) quarantined(s *IntelStatus) {
	if len(s.Quarantined) == 0 {
		return
	}
	var who []string
	for _, q := range s.Quarantined {
		who = append(who, q.Prefix.String())
	}
	f.AtLeast(observe.Warning)
	f.addFor(who, "rolled up in quarantine for a day, because they matched too much: %s; 'allow' what is listed by mistake, 'flowsnitch intel accept PREFIX' ends it", named(who))
}

// setFull reports entries of feeds that found no room.
func (f *finding) setFull(s *IntelStatus) {
	n := 0
	var who []string
	for i := range s.Feeds {
		if over := s.Feeds[i].Refused[lookup.ReasonOverCap]; over > 0 {
			n += over
			who = append(who, s.Feeds[i].Name)
		}
	}
	if n > 0 {
		f.AtLeast(observe.Warning)
		f.addFor(who, "%d entries are not listed, the set is full (%s): raise intel.max_indicators, or leave out a feed", n, named(who))
	}
}
