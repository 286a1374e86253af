package segment

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// A Cut is what was cut off at the beginning: the events from First to before End. Its
// files are there until Remove is called.
type Cut struct {
	First, End uint64 // both 0 = nothing was cut off
	old        []*segment
}

// CutOld cuts off files whose last event is older than an age.
func (f *Files) CutOld(now time.Time, age time.Duration) Cut {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(f.list) && now.Sub(f.list[n].stamp) > age && !f.busy(f.list[n]) {
		n++
	}
	return f.cut(n)
}

// CutOver cuts off files, but for the last, until the rest has no more than some bytes.
func (f *Files) CutOver(most int64) Cut {
	f.mu.Lock()
	defer f.mu.Unlock()
	var total int64
	for _, s := range f.list {
		total += s.size
	}
	n := 0
	for n < len(f.list)-1 && total > most && !f.busy(f.list[n]) {
		total -= f.list[n].size
		n++
	}
	return f.cut(n)
}

// CutOne cuts off the oldest file, unless it is the last or written to.
func (f *Files) CutOne() (c Cut, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) < 2 || f.busy(f.list[0]) {
		return Cut{}, false
	}
	return f.cut(1), true
}

// CutBefore cuts off files whose events are all before a number; with keepActive not the one
// that is written to.
func (f *Files) CutBefore(number uint64, keepActive bool) Cut {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut(f.before(number, keepActive))
}

// AnyBefore reports whether CutBefore would cut off anything.
func (f *Files) AnyBefore(number uint64, keepActive bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.before(number, keepActive) > 0
}

func (f *Files) before(number uint64, keepActive bool) (n int) {
	for _, s := range f.list {
		if s.end > number || f.busy(s) || s == f.active && keepActive {
			break
		}
		n++
	}
	return n
}

// cut cuts off the n oldest.
func (f *Files) cut(n int) (c Cut) {
	if n == 0 {
		return c
	}
	c.old = f.list[:n:n]
	c.First, c.End = c.old[0].first, c.old[n-1].end
	f.list = slices.Clone(f.list[n:])
	if slices.Contains(c.old, f.active) {
		f.active = nil
	}
	return c
}

// Remove removes the files that were cut off. It uses the disk.
func (f *Files) Remove(c Cut) {
	for _, s := range c.old {
		f.closeFile(s)
		f.dir.Remove(s.path, func() bool { return f.Has(s.path) })
	}
}

// Redate gives the files the dates that can be trusted. It uses the disk.
func (f *Files) Redate(at folder.Moment) {
	type dating struct {
		s    *segment
		date time.Time
	}
	var list []dating
	f.mu.Lock()
	for _, s := range f.list {
		if date, wrong := at.FileDate(s.stamp, s.dated); wrong {
			list = append(list, dating{s, date})
		}
	}
	f.mu.Unlock()
	for _, d := range list {
		if f.dir.Disk.Chtimes(d.s.path, d.date) == nil {
			f.mu.Lock()
			d.s.dated = d.date
			f.mu.Unlock()
		}
	}
}
