package app

import (
	"cmp"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// sinkCheck looks for sinks that do not deliver, and for events that are lost.
func sinkCheck(sinks func() []SinkStatus) observe.Check {
	var past observe.History[[]SinkStatus]
	failing := make(map[string]time.Time) // since when
	return observe.Check{Name: "sinks", State: func(now time.Time) observe.Finding {
		list := sinks()
		f := finding{observe.Finding{Unit: "s", Critical: sinkCritical}}
		before := past.Note(now, list)
		for i := range list {
			k := &list[i]
			if !k.Failing {
				delete(failing, k.Name)
			} else {
				if failing[k.Name].IsZero() {
					failing[k.Name] = now
				}
				f.Value = max(f.Value, now.Sub(failing[k.Name]).Seconds())
				f.Raise(observe.Warning)
				f.Add(k.Name, "%s cannot deliver (%d events wait): %s", k.Name, k.Pending, k.LastError)
			}
			for j := range before {
				if before[j].Name == k.Name {
					f.lostBy(k, &before[j])
				}
			}
		}
		f.Judge()
		f.Otherwise("%d sinks deliver", len(list))
		return f.Finding
	}}
}

// lostBy names what a sink has lost since before.
func (f *finding) lostBy(k, before *SinkStatus) {
	if lost := observe.Grown(k.Dropped+k.Failed, before.Dropped+before.Failed); lost > 0 {
		f.AtLeast(observe.Critical)
		f.Add(k.Name+" lost", "%s has lost %d events%s: %s", k.Name, lost, damaged(observe.Grown(k.Damaged, before.Damaged)), cmp.Or(k.LastError, "they waited for too long"))
	}
	if n := observe.Grown(k.Own.Trouble["file_errors"], before.Own.Trouble["file_errors"]); n > 0 {
		f.Warn(k.Name+" files", "%s: %d errors with its files, the last: %s", k.Name, n, k.Own.Error)
	}
}

// damaged returns how many of the events lost the disk is to blame for.
func damaged(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of them could not be read in the journal: look for a broken disk)", n)
}

// ofThem returns how many of the events lost were urgent.
func ofThem(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them of high or critical severity, or alerts", n)
}

// spoolCheck looks how full the journal is, and whether the disk takes events.
func spoolCheck(journal func() JournalStatus, since func() time.Time) observe.Check {
	var past observe.History[JournalStatus]
	return observe.Check{Name: "spool", State: func(now time.Time) observe.Finding {
		j := journal()
		before := past.Note(now, j)
		f := finding{observe.Finding{Unit: "%", Warning: spoolWarning, Critical: spoolCritical}}
		if j.MaxBytes > 0 { // of which a quarter is for urgent events alone
			f.Value = 100 * max(float64(j.Bytes)/float64(j.MaxBytes), float64(j.Bytes-j.Urgent.Bytes)/(0.75*float64(j.MaxBytes)))
		}
		f.Judge()
		if f.State != observe.OK {
			f.Add("full", "the journal is full to %.0f %%: a sink is away for too long, or journal.max_bytes is too small", f.Value)
		}
		if lost := observe.Grown(j.DroppedFull+j.DroppedOld, before.DroppedFull+before.DroppedOld); lost > 0 {
			f.AtLeast(observe.Critical)
			urgent := observe.Grown(j.Urgent.DroppedFull+j.Urgent.DroppedOld, before.Urgent.DroppedFull+before.Urgent.DroppedOld)
			f.Add("lost", "%d events were dropped because there was no room or for their age%s", lost, ofThem(urgent))
		}
		if j.Trouble != "" {
			f.AtLeast(observe.Critical)
			f.Add("disk", "the disk does not take events: %s", j.Trouble)
		}
		f.journalErrors(&j, &before)
		f.opened(&j.Opened, now.Sub(since()))
		f.Otherwise("the journal is full to %.0f %%", f.Value)
		return f.Finding
	}}
}

// journalErrors reports calls that failed, though the disk takes events now.
func (f *finding) journalErrors(j, before *JournalStatus) {
	if j.ReadTrouble != "" {
		f.AtLeast(observe.Critical)
		f.Add("unreadable", "the journal cannot be read, so that sinks wait: %s", j.ReadTrouble)
	}
	for _, e := range []struct {
		name   string
		n      uint64
		state  observe.State
		format string
	}{
		{"sync", observe.Grown(j.SyncErrors, before.SyncErrors), observe.Critical, "%d calls of fsync failed (%s): a power cut could lose events; look for a broken disk"},
		{"write", observe.Grown(j.WriteErrors, before.WriteErrors), observe.Warning, "%d writes of events failed (%s): look for a full or broken disk"},
		{"stall", observe.Grown(j.Stalls, before.Stalls), observe.Warning, "the disk stalled %d times (%s): look for a disk that is overloaded or breaking"},
		{"rewritten", observe.Grown(j.Rewritten, before.Rewritten), observe.Warning, "%d events were written again after a failed fsync (%s): look for a broken disk"},
		{"save", observe.Grown(j.SaveErrors, before.SaveErrors), observe.Warning, "the places of sinks could not be saved %d times (%s): after a crash sinks would get events again; look for a full or broken disk"},
		{"read", observe.Grown(j.ReadErrors, before.ReadErrors), observe.Warning, "%d reads failed (%s), events wait: look for a broken disk or too few file descriptors"},
	} {
		if e.n > 0 {
			f.AtLeast(e.state)
			f.Add(e.name, e.format, e.n, cmp.Or(j.LastError, j.Trouble, "no error is known"))
		}
	}
}

// opened warns for an hour of what the journal had lost at the start.
func (f *finding) opened(o *OpenedStatus, age time.Duration) {
	lost := o.MissingEvents + o.LostEvents
	if n := len(o.Unreadable); n > 0 && age <= startTrouble {
		f.AtLeast(observe.Warning)
		f.addFor(o.Unreadable, "%d files of the journal could not be read at the start: %s; events come as soon as they can be read, sinks whose place is set aside get all that is there; look for a broken disk", n, named(o.Unreadable))
	}
	if age > startTrouble || lost == 0 && o.DamagedBytes == 0 && len(o.BadCursors)+len(o.LostCursors) == 0 {
		return
	}
	f.Warn("opened", "the journal was damaged at the start: %d events are lost, %d bytes were cut off or passed over, the places of %d sinks could not be read (they get all that is there): look for a crash, a power cut or a broken disk",
		lost, o.TornBytes+o.DamagedBytes, len(o.BadCursors)+len(o.LostCursors))
}
