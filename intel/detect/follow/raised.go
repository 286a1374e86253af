package follow

import (
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
	// Noisy is called with the name of a rule when it is quarantined, also from any goroutine.
	// It is set before the first alert; nil = no call.
	Noisy func(name string)

	send func([]detect.Alert) error
	now  func() time.Time

	// turn is of whoever sends and notes, which takes as long as the disk; mu is not held
	// meanwhile, as the status needs it.
	turn sync.Mutex
	log  *sent.Log

	mu    sync.Mutex
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

// A pace is how many alerts a rule has raised lately.
type pace struct {
	hour        int64      // since 1970
	n           int        // in that hour, sent or not
	quarantined time.Time  // until then
	sent        [24]uint64 // by hour, the hour itself modulo 24
	last        time.Time  // that one was sent; zero = none yet
}

// RuleAlerts are the alerts of one rule, as far as this run has sent them.
type RuleAlerts struct {
	LastDay     uint64    // in the hour that is and the 23 before
	Last        time.Time // zero = none
	Quarantined time.Time // until then none is sent; zero = it is not quarantined
}

// turn begins an hour.
func (p *pace) turn(hour int64) {
	if hour == p.hour {
		return
	}
	for n := max(p.hour+1, hour-int64(len(p.sent))+1); n <= hour; n++ {
		p.sent[n%int64(len(p.sent))] = 0
	}
	if hour < p.hour { // the clock was set back
		p.sent = [24]uint64{}
	}
	p.hour, p.n = hour, 0
}

// MostAlerts is how many alerts a rule may raise in an hour; then it is quarantined for an hour.
const MostAlerts = 100

// OpenRaised opens the file of ids. send sends alerts to the sinks.
func OpenRaised(f disk.FS, path string, now func() time.Time, send func([]detect.Alert) error) (*Raised, error) {
	log, err := sent.Open(f, path, mostRaised, keepRaised, now())
	if err != nil {
		return nil, err
	}
	r := &Raised{send: send, now: now, log: log, rules: make(map[string]*pace)}
	r.stats.Damaged, r.stats.Forgotten = log.Damaged, log.Forgotten
	return r, nil
}

// Raise sends those alerts that have not been sent, and notes them. After an error they are
// to be raised again.
func (r *Raised) Raise(alerts []detect.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	fresh, more, noisy := r.choose(alerts)
	if r.Noisy != nil {
		for _, name := range noisy {
			r.Noisy(name)
		}
	}
	if len(fresh) > 0 {
		if err := r.send(fresh); err != nil {
			r.takeBack(fresh)
			return err
		}
	}
	r.count(fresh, more)
	r.note(fresh)
	return nil
}

// choose gives the alerts that are to be sent, how many are not, and the rules that are
// quarantined from now on.
func (r *Raised) choose(alerts []detect.Alert) (fresh []detect.Alert, more RaisedStats, noisy []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range alerts {
		if r.log.Has(a.ID) {
			more.Again++
			continue
		}
		admitted, now := r.admits(a.Rule.Name)
		if now {
			noisy = append(noisy, a.Rule.Name)
		}
		if !admitted {
			more.Quarantined++
			continue
		}
		fresh = append(fresh, a)
	}
	return fresh, more, noisy
}

// takeBack forgets that alerts were admitted: they come again.
func (r *Raised) takeBack(alerts []detect.Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range alerts {
		r.rules[a.Rule.Name].n--
	}
}

// count counts alerts that were sent, and more that were not.
func (r *Raised) count(fresh []detect.Alert, more RaisedStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for _, a := range fresh {
		p := r.rules[a.Rule.Name]
		p.turn(now.Unix() / 3600)
		p.sent[p.hour%int64(len(p.sent))]++
		p.last = now
	}
	r.stats.Sent += uint64(len(fresh))
	r.stats.Again += more.Again
	r.stats.Quarantined += more.Quarantined
}

// note notes alerts as sent. At worst they come again, with the same ids.
func (r *Raised) note(alerts []detect.Alert) {
	if len(alerts) == 0 {
		return
	}
	ids := make([]uuid.UUID, len(alerts))
	for i := range alerts {
		ids[i] = alerts[i].ID
	}
	if err := r.log.Note(ids, r.now()); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stats.Errors++
	}
}

// admits reports whether a rule may raise one more alert, and whether it is quarantined from now
// on.
func (r *Raised) admits(name string) (admitted, quarantined bool) {
	p := r.rules[name]
	if p == nil {
		p = &pace{}
		r.rules[name] = p
	}
	now := r.now()
	if now.Before(p.quarantined) {
		return false, false
	}
	p.turn(now.Unix() / 3600)
	if p.n++; p.n > MostAlerts {
		p.quarantined = now.Add(time.Hour)
		return false, true
	}
	return true, false
}

// Forget notes alerts as sent that are not to be sent at all: they are of a time before the
// rules ran.
func (r *Raised) Forget(alerts []detect.Alert) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.stats.Old += uint64(len(alerts))
	r.mu.Unlock()
	r.note(alerts)
}

// Rules gives the alerts of each rule that has raised any.
func (r *Raised) Rules() map[string]RuleAlerts {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]RuleAlerts)
	now := r.now()
	for name, p := range r.rules {
		hour, n := now.Unix()/3600, uint64(0)
		for at := max(hour-int64(len(p.sent))+1, 0); at <= min(hour, p.hour); at++ {
			if at > p.hour-int64(len(p.sent)) {
				n += p.sent[at%int64(len(p.sent))]
			}
		}
		a := RuleAlerts{LastDay: n, Last: p.last}
		if now.Before(p.quarantined) {
			a.Quarantined = p.quarantined
		}
		all[name] = a
	}
	return all
}

// Stats gives the counters.
func (r *Raised) Stats() RaisedStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Close closes the file.
func (r *Raised) Close() error {
	r.turn.Lock()
	defer r.turn.Unlock()
	return r.log.Close()
}
