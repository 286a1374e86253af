package app

import (
	"cmp"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
)

func clockFinding(s *Status) finding {
	f := finding{observe.Finding{Check: "clock"}}
	if s.Clock.State == "unsynced" {
		f.Value = 1
		f.Raise(observe.Warning)
		f.Add(s.Clock.Why, "the wall clock cannot be trusted: %s; check NTP", s.Clock.Why)
	}
	f.Otherwise("the wall clock can be trusted")
	return f
}

// feedFinding tells of feeds that are stale, missing or held back.
func feedFinding(s *Status, p *past, now time.Time) finding {
	f := finding{observe.Finding{Check: "feeds", Unit: "s", Warning: p.limits.FeedAge.Seconds(), Critical: muchWorse * p.limits.FeedAge.Seconds()}}
	var missing, old, aged, pieces, held, unreadable []string
	for i := range s.Intel.Feeds {
		d := &s.Intel.Feeds[i]
		age, limit := d.Age(p.date).Seconds(), p.ageLimit(d).Seconds()
		if onTime(d, p.date) {
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
		if data, _ := d.DataAge(p.date); d.DataOld(p.date) {
			aged = append(aged, fmt.Sprintf("%s: the data are %s old", d.Name, ago(data.Seconds())))
			f.AddKeys(d.Name + " data")
		}
		if d.Unreadable != "" {
			unreadable = append(unreadable, fmt.Sprintf("%s (%s)", d.Name, d.Unreadable))
			f.AddKeys(d.Name + " unreadable")
		}
		if d.BadPieces > 0 && len(d.Bad) > 0 && p.date.Sub(d.Bad[0].Since) >= p.ageLimit(d) {
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
	if len(missing) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "never fetched: %s; see 'flowsnitch intel status'", named(missing))
	}
	if len(pieces) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "pieces of feeds cannot be read: %s; the others are used; 'flowsnitch intel status' names them", named(pieces))
	}
	if len(aged) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "data old by their own date, though the source responds: %s; look for another source, or set max_age", named(aged))
	}
	if len(unreadable) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "stored copies cannot be read: %s; what is in force stays; look at the disk and the limit of open files", named(unreadable))
	}
	if len(held) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "held back: %s; 'flowsnitch intel accept FEED' takes it", named(held))
	}
	f.deadZones(s)
	f.quarantined(s)
	f.setFull(s)
	f.nothingListed(s, now)
	f.Otherwise("%d indicators of %d feeds, the oldest %s old", s.Intel.Indicators, len(s.Intel.Feeds), ago(f.Value))
	return f
}

// deadZones tells of DNS block lists that cannot be asked.
func (f *finding) deadZones(s *Status) {
	if s.DNSBL == nil {
		return
	}
	var dead []string
	for _, z := range s.DNSBL.Zones {
		if !z.IPv4 && !z.IPv6 && z.Error != "" {
			dead = append(dead, fmt.Sprintf("%s (%s)", z.Zone, z.Error))
			f.AddKeys(z.Zone)
		}
	}
	if len(dead) > 0 {
		f.AtLeast(observe.Warning)
		f.Add("", "DNS lists cannot be queried: %s; see dnsbl.server and the zone's terms", named(dead))
	}
}

// nothingListed tells when nothing can be a hit. The first feeds have some time to come.
func (f *finding) nothingListed(s *Status, now time.Time) {
	if s.Intel.Indicators > 0 || s.DNSBL.lists() {
		return
	}
	if len(s.Intel.Feeds) > 0 && now.Sub(s.Since) < firstFeedWithin {
		f.AtLeast(observe.Warning)
		f.Add("empty", "nothing is listed yet, so nothing can be a hit: the feeds are on their way")
		return
	}
	f.AtLeast(observe.Critical)
	f.Add("empty", "nothing is listed, so nothing can be a hit: see 'flowsnitch intel status'")
}

// ageLimit is how old a feed may be: one that is asked often is known to be stale soon.
func (p *past) ageLimit(d *fetch.Status) time.Duration {
	return min(p.limits.FeedAge, max(time.Duration(ageFactor*d.IntervalSeconds*float64(time.Second)), leastAge))
}

// onTime reports whether a feed is as fresh as it can be, however seldom it is asked.
func onTime(d *fetch.Status, date time.Time) bool {
	return d.Failures == 0 && d.Error == "" && d.Next.After(date)
}

// sinkFinding tells of sinks that do not deliver, and of events that are lost.
func sinkFinding(s *Status, p *past) finding {
	f := finding{observe.Finding{Check: "sinks", Unit: "s", Critical: sinkCritical}}
	for _, k := range s.Sinks {
		if k.Failing {
			f.Value = max(f.Value, p.failing[k.Name].Seconds())
			f.Raise(observe.Warning)
			f.Add(k.Name, "%s cannot deliver (%d events wait): %s", k.Name, k.Pending, k.LastError)
		}
		for _, o := range p.status.Sinks {
			if lost := observe.Grown(k.Dropped+k.Failed, o.Dropped+o.Failed); o.Name == k.Name && lost > 0 {
				f.AtLeast(observe.Critical)
				f.Add(k.Name+" lost", "%s has lost %d events%s: %s", k.Name, lost, damaged(observe.Grown(k.Damaged, o.Damaged)), cmp.Or(k.LastError, "they waited for too long"))
			}
			if n := observe.Grown(k.Own.Trouble["file_errors"], o.Own.Trouble["file_errors"]); o.Name == k.Name && n > 0 {
				f.AtLeast(observe.Warning)
				f.Add(k.Name+" files", "%s: %d errors with its files, the last: %s", k.Name, n, k.Own.Error)
			}
		}
	}
	f.Judge()
	f.forwards(s, &p.status)
	f.Otherwise("%d sinks deliver", len(s.Sinks))
	return f
}

// damaged tells how many of the events lost the disk is to blame for.
func damaged(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of them could not be read in the journal: look for a broken disk)", n)
}

// ofThem says how many of the events lost were urgent.
func ofThem(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them of high or critical severity, or alerts", n)
}

// spoolFinding tells how full the journal is, and whether the disk takes events.
func spoolFinding(s, before *Status, now time.Time) finding {
	j := &s.Journal
	f := finding{observe.Finding{Check: "spool", Unit: "%", Warning: spoolWarning, Critical: spoolCritical}}
	if j.MaxBytes > 0 { // of which a quarter is for urgent events alone
		f.Value = 100 * max(float64(j.Bytes)/float64(j.MaxBytes), float64(j.Bytes-j.Urgent.Bytes)/(0.75*float64(j.MaxBytes)))
	}
	f.Judge()
	if f.State != observe.OK {
		f.Add("full", "the journal is full to %.0f %%: a sink is away for too long, or journal.max_bytes is too small", f.Value)
	}
	if lost := observe.Grown(j.DroppedFull+j.DroppedOld, before.Journal.DroppedFull+before.Journal.DroppedOld); lost > 0 {
		f.AtLeast(observe.Critical)
		urgent := observe.Grown(j.Urgent.DroppedFull+j.Urgent.DroppedOld, before.Journal.Urgent.DroppedFull+before.Journal.Urgent.DroppedOld)
		f.Add("lost", "%d events were dropped because there was no room or for their age%s", lost, ofThem(urgent))
	}
	if j.Trouble != "" {
		f.AtLeast(observe.Critical)
		f.Add("disk", "the disk does not take events: %s", j.Trouble)
	}
	f.journalErrors(j, &before.Journal)
	f.opened(s, now)
	f.Otherwise("the journal is full to %.0f %%", f.Value)
	return f
}
