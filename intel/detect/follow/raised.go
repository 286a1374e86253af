package follow

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/event/sent"
)

// The limits of what is remembered of alerts.
const (
	mostRaised = 100_000
	keepRaised = 40 * 24 * time.Hour // longer than any cool-down
)

// Raised sends alerts, each once, and lets no rule flood the sinks. Its methods may be called
// from any goroutine.
type Raised struct {
	send func([]detect.Alert) error
	now  func() time.Time

	mu    sync.Mutex
	log   *sent.Log
	rules map[string]*pace
	stats RaisedStats
}

// RaisedStats are what became of alerts since the start.
type RaisedStats struct {
	Sent        uint64
	Again       uint64 // they had been sent before a restart
	Quarantined uint64 // their rule raised too many
	Old         uint64 // they are of a time before the rules ran
	Errors      uint64 // ids that could not be noted on the disk
	Damaged     int    // records of the file
	Forgotten   int
}

// A pace is how many alerts a rule has raised in an hour.
type pace struct {
	hour        int64
	n           int
	quarantined time.Time // until then
}

// MostAlerts is how many alerts a rule may raise in an hour; then it is quarantined for an hour.
const MostAlerts = 100

// OpenRaised opens the file of ids. send sends alerts to the sinks.
func OpenRaised(f disk.FS, path string, now func() time.Time, send func([]detect.Alert) error) (*Raised, error) {
	log, err := sent.Open(f, path, mostRaised, keepRaised, now())
	if err != nil {
		return nil, err
	}
	return &Raised{send: send, now: now, log: log, rules: make(map[string]*pace)}, nil
}

// Raise sends those alerts that have not been sent, and notes them. After an error they are
// to be raised again.
func (r *Raised) Raise(alerts []detect.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var fresh []detect.Alert
	var ids []uuid.UUID
	var again, quarantined uint64
	for _, a := range alerts {
		switch {
		case r.log.Has(a.ID):
			again++
		case !r.admits(a.Rule.Name):
			quarantined++
		default:
			fresh = append(fresh, a)
			ids = append(ids, a.ID)
		}
	}
	if len(fresh) > 0 {
		if err := r.send(fresh); err != nil {
			for _, a := range fresh {
				r.rules[a.Rule.Name].n-- // it comes again
			}
			return err
		}
	}
	r.stats.Sent += uint64(len(fresh))
	r.stats.Again += again
	r.stats.Quarantined += quarantined
	if len(fresh) == 0 {
		return nil
	}
	if err := r.log.Note(ids, r.now()); err != nil {
		r.stats.Errors++ // at worst they come again, with the same ids
	}
	return nil
}

// admits reports whether a rule may raise one more alert.
func (r *Raised) admits(name string) bool {
	p := r.rules[name]
	if p == nil {
		p = &pace{}
		r.rules[name] = p
	}
	now := r.now()
	if now.Before(p.quarantined) {
		return false
	}
	if hour := now.Unix() / 3600; hour != p.hour {
		p.hour, p.n = hour, 0
	}
	if p.n++; p.n > MostAlerts {
		p.quarantined = now.Add(time.Hour)
		return false
	}
	return true
}

// Forget notes alerts as sent that are not to be sent at all: they are of a time before the
// rules ran.
func (r *Raised) Forget(alerts []detect.Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Old += uint64(len(alerts))
	ids := make([]uuid.UUID, len(alerts))
	for i := range alerts {
		ids[i] = alerts[i].ID
	}
	if err := r.log.Note(ids, r.now()); err != nil {
		r.stats.Errors++
	}
}

// Quarantined gives the rules that are quarantined, and until when.
func (r *Raised) Quarantined() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]time.Time)
	for name, p := range r.rules {
		if r.now().Before(p.quarantined) {
			all[name] = p.quarantined
		}
	}
	return all
}

// Stats gives the counters.
func (r *Raised) Stats() RaisedStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Damaged, s.Forgotten = r.log.Damaged, r.log.Forgotten
	return s
}

// Close closes the file.
func (r *Raised) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.log.Close())
}
