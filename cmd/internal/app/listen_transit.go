package app

import (
	"time"
)

// Flows without an end in the home networks are expected of carriers. Elsewhere most often
// the public prefixes are missing in 'home': direction and severity are wrong then.
const (
	transitWindow = time.Hour
	transitLeast  = 30 // records looked at, for a share that is meaningful
)

// A transitAt is what the workers have counted up to a time.
type transitAt struct {
	at               time.Time
	sampled, transit uint64
}

// A transitWatch keeps what was counted within the last hour.
type transitWatch []transitAt

// note takes in the counts at the time now, and gives the share of transit since an hour
// ago, in percent; 0 while too few records were looked at.
func (w *transitWatch) note(now time.Time, sampled, transit uint64) (share float64) {
	list := *w
	if n := len(list); n == 0 || now.Sub(list[n-1].at) >= time.Minute {
		list = append(list, transitAt{now, sampled, transit})
	}
	for len(list) > 1 && now.Sub(list[1].at) >= transitWindow {
		list = list[1:]
	}
	*w = list
	all := sampled - list[0].sampled
	if all < transitLeast {
		return 0
	}
	return 100 * float64(transit-list[0].transit) / float64(all)
}

// transit warns of flows that have no end in the home networks.
func (f *finding) transit(share, limit float64) {
	if share <= limit {
		return
	}
	f.Warn("transit", "%s %% of the flows of the last hour have no end in 'home': are your public prefixes in it? Direction and severity depend on them (health.transit is the limit)",
		percent(share))
}
