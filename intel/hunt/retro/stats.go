package retro

import (
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// The results of a match.
const (
	sentOne = iota
	capped
	repeated
	live
)

// Stats is what the search for contacts before a listing does and has done.
type Stats struct {
	// Jobs are those that wait, and those that are being done together.
	Jobs    [2]uint64 `json:"jobs" name:"hunt_jobs" help:"Sets whose new entries wait to be searched for in the history (waiting), or are being searched for (running)." label:"state" values:"waiting,running" show:"some" words:"jobs"`
	Entries uint64    `json:"entries_waiting" name:"hunt_entries_waiting" help:"New entries that have not been searched for yet." show:"some" words:"entries waiting"`
	// WaitingSince is when the oldest of what waits came.
	WaitingSince time.Time `json:"waiting_since,omitzero" name:"hunt_waiting_seconds" help:"Time since the oldest set that waits came into force." show:"some" words:"waiting since"`
	Done         uint64    `json:"jobs_done" name:"hunt_jobs_done_total" help:"Sets whose new entries have been searched for." show:"always" words:"jobs done"`
	// Matches are contacts that were sent and those that had been sent; records of the history
	// that are only counted, as they are too many, or that met a live match.
	Matches [4]uint64 `json:"matches" name:"hunt_matches_total" help:"What was found in the history for new entries: contacts sent, records too many to be sent, contacts sent before, records that met a live match." label:"result" values:"sent,capped,repeated,live" show:"some" words:"found"`
	Seconds float64   `json:"last_seconds" name:"hunt_last_seconds" help:"How long the last search for new entries took." show:"some" words:"the last search took"`
	SentIDs uint64    `json:"sent_remembered" name:"hunt_sent_remembered" help:"Contacts of which is remembered that they have been sent." show:"some" words:"sent contacts remembered"`
	// Forgotten are contacts that were sent, and entries that are no longer listed, that made
	// room: they may be sent again.
	Forgotten uint64 `json:"forgotten" name:"hunt_forgotten_total" help:"Sent contacts and former entries that made room and may be found again." loss:"true" judged:"history" words:"forgotten to make room"`
	// LiveForgotten are live hits while entries wait that are not remembered, as there were
	// too many: their contacts may be sent as contacts before the listing, too.
	LiveForgotten uint64 `json:"live_forgotten" name:"hunt_live_forgotten_total" help:"Live hits too many to be remembered while entries wait, that may be found as contacts before the listing, too." loss:"true" judged:"history" words:"live hits too many to be remembered"`
	Damaged       uint64 `json:"damaged" name:"hunt_damaged_total" help:"Damaged files and records of what has been searched for and sent." loss:"true" judged:"history" words:"damaged files or records"`
	Failures      uint64 `json:"failures" name:"hunt_failures_total" help:"Searches for new entries that failed and are done again." show:"some" words:"failed"`
	Failing       bool   `json:"failing" name:"hunt_failing" help:"1 while the last search for new entries has failed." show:"some" words:"failing"`
	LastError     string `json:"last_error,omitempty" show:"some" words:""`
}

// Stats gives the counters.
func (h *Hunter) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

func (h *Hunter) note(f func(*Stats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.stats)
}

func (h *Hunter) count(result int, n uint64) { h.note(func(s *Stats) { s.Matches[result] += n }) }

// failed notes why a job is not done.
func (h *Hunter) failed(err error) {
	first := false
	h.note(func(s *Stats) {
		first = !s.Failing
		s.Failures++
		s.Failing, s.LastError = true, err.Error()
	})
	if first {
		h.cfg.Log.Error("the search for contacts before a listing has failed; it is tried again", zap.Error(err))
	}
}

// damaged notes a file that was moved away.
func (h *Hunter) damaged(err error) {
	h.note(func(s *Stats) { s.Damaged++ })
	h.cfg.Log.Error("what has been searched for in the history is not known any more; of the entries that came last some may not be searched for", zap.Error(err))
}

// waitsLong is how long a job may wait.
const waitsLong = time.Hour

// Register shows and judges the hunter.
func (h *Hunter) Register(c *observe.Component) { c.Add(observe.Of("retro", h.Stats), Check(h.Stats)) }

// Check looks for jobs that fail or wait, and for what is no longer known.
func Check(stats func() Stats) observe.Check {
	var past observe.History[Stats]
	return observe.Check{Name: "history", State: func(now time.Time) observe.Finding {
		s := stats()
		before := past.Note(now, s)
		var f observe.Finding
		if s.Failing {
			f.Warn("retro failing", "new entries cannot be searched for in the history (%s): look at the disk of the state directory", s.LastError)
		}
		if !s.WaitingSince.IsZero() && now.Sub(s.WaitingSince) > waitsLong {
			f.Warn("retro waiting", "%d new entries have been waiting for %s to be searched for in the history", s.Entries, now.Sub(s.WaitingSince).Round(time.Minute))
		}
		if n := observe.Grown(s.Damaged, before.Damaged); n > 0 {
			f.Warn("retro damaged", "%d files or records of what has been searched for in the history are damaged: look at the disk; 'flowsnitch hunt --feed NAME' searches for a whole list", n)
		}
		if n := observe.Grown(s.Forgotten, before.Forgotten); n > 0 {
			f.Warn("retro forgotten", "%d contacts or entries that have been searched for made room, contacts before a listing may be sent again", n)
		}
		if n := observe.Grown(s.LiveForgotten, before.LiveForgotten); n > 0 {
			f.Warn("retro live", "%d live hits came while new entries are searched for and are too many to be remembered, they may be sent as contacts before the listing, too", n)
		}
		return f
	}}
}
