package app

import (
	"slices"
	"strings"
	"sync"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// maxRecent is how many events a status shows.
const maxRecent = 10

// A RecentEvent is an event as people read it.
type RecentEvent struct {
	Kind     event.Kind `json:"kind"`
	Severity string     `json:"severity"`
	// Text is the line that a console sink would print, with its time.
	Text string `json:"text"`
}

// A recentList keeps the last events.
type recentList struct {
	mu   sync.Mutex
	list []RecentEvent // the oldest first
}

// add takes in events. Updates and canaries are not shown: the first have no news, the
// others are in the status of the canary.
func (r *recentList) add(events []event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.list)
	for i := len(events) - 1; i >= 0 && len(r.list)-before < maxRecent; i-- {
		if e := &events[i]; e.Kind == event.KindHit || e.Kind == event.KindAlert {
			line := strings.TrimSuffix(string(form.AppendText(nil, e, false)), "\n")
			r.list = append(r.list, RecentEvent{e.Kind, e.Severity.String(), line})
		}
	}
	slices.Reverse(r.list[before:])
	r.list = slices.Delete(r.list, 0, max(len(r.list)-maxRecent, 0))
}

// events gives the last events, the latest first.
func (r *recentList) events() []RecentEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.list)
	slices.Reverse(list)
	return list
}
