package app

import (
	"cmp"
	"slices"
	"time"
)

// A habit is the longest pauses that an exporter made of late, the longest first. What
// happens once or twice is a breakdown and teaches nothing.
type habit []pauseAt

// A pauseAt is a pause and when it ended.
type pauseAt struct {
	length time.Duration
	end    time.Time
}

const (
	habitPauses = 3
	habitMemory = 24 * time.Hour
)

// usual is the pause that the exporter makes again and again; 0 = none is known.
func (h habit) usual() time.Duration {
	if len(h) < habitPauses {
		return 0
	}
	return h[habitPauses-1].length
}

// since gives the pauses that ended after t.
func (h habit) since(t time.Time) habit {
	return slices.DeleteFunc(h, func(p pauseAt) bool { return p.end.Before(t) })
}

// with adds a pause.
func (h habit) with(length time.Duration, end time.Time) habit {
	h = append(h, pauseAt{length, end})
	slices.SortStableFunc(h, func(a, b pauseAt) int { return cmp.Compare(b.length, a.length) })
	return h[:min(len(h), habitPauses)]
}
