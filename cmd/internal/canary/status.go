package canary

import "time"

// A Status is the self-test, flows sent on purpose, and how far they came; and what
// came from elsewhere.
type Status struct {
	EverySeconds float64   `json:"every_seconds" name:"canary_interval_seconds" help:"Interval of the self-test; 0 = off." show:"some" words:"every"` // 0 = no self-test
	Sent         uint64    `json:"sent" name:"canary_sent_total" help:"Self-tests sent." show:"always"`
	Seen         uint64    `json:"seen" name:"canary_seen_total" help:"Self-tests seen by the correlator." show:"always"` // by the correlator
	LastSent     time.Time `json:"last_sent,omitzero" name:"-"`
	LastSeen     time.Time `json:"last_seen,omitzero" name:"-" show:"some"`
	// AgeSeconds is the time since LastSeen, or since the start of the process as long as
	// none has been seen: nothing may look fresh that never came. nil = no self-test.
	AgeSeconds *float64 `json:"age_seconds,omitempty" name:"canary_age_seconds" help:"Time since a self-test was last seen by the correlator."`
	// Stages are milliseconds since the sending of the last one, by stage: received,
	// matched, correlated, journal.
	Stages map[string]float64 `json:"stages,omitempty" name:"canary_latency_seconds" help:"Time from the sending of the last self-test to a stage: received, matched, correlated, journal." label:"stage" scale:"0.001"`
	// Listeners are by their address.
	Listeners map[string]Listener `json:"listeners,omitempty" label:"listener"`
	// Sinks are by name of the sink: those that get canaries. One that never had any
	// has no time.
	Sinks map[string]At `json:"sinks,omitempty" label:"sink"`
	// Others are hosts that sent canaries from elsewhere, by address; their clocks may
	// differ from ours.
	Others map[string]At `json:"others,omitempty" name:"-" label:"host"`

	// What was left out: Limited came too fast or twice, Queue had no room on the way
	// to the correlator, OthersOverCap are of hosts for which the list has no room, and
	// Malformed flows to the reserved indicator are no canaries.
	Limited       uint64 `json:"limited" name:"canary_dropped_total" help:"Canaries dropped, by reason." with:"reason=limited" show:"some" words:"dropped (too many or duplicate)"`
	Queue         uint64 `json:"queue_full" name:"canary_dropped_total" help:"Canaries dropped, by reason." with:"reason=queue_full" show:"some" words:"dropped (queue full)"`
	OthersOverCap uint64 `json:"others_over_cap" name:"canary_dropped_total" help:"Canaries dropped, by reason." with:"reason=others_over_cap" show:"some" words:"of hosts over the limit"`
	Malformed     uint64 `json:"malformed" name:"canary_dropped_total" help:"Canaries dropped, by reason." with:"reason=malformed" show:"some" words:"malformed"`
}

// An At is when a canary was last somewhere, and how long it took to there.
type At struct {
	// AgeSeconds is like that of Status.
	AgeSeconds   *float64  `json:"age_seconds,omitempty" name:"canary_sink_age_seconds" help:"Time since a self-test last reached a sink that gets canaries."`
	Last         time.Time `json:"last,omitzero" name:"-" show:"some" words:"delivered"`
	Milliseconds float64   `json:"milliseconds" name:"canary_sink_latency_seconds" help:"Time from the sending of the last self-test to a sink." scale:"0.001" if:"Last"`
}

// A Listener is the self-test at one address.
type Listener struct {
	// AgeSeconds is like that of Status.
	AgeSeconds   *float64  `json:"age_seconds,omitempty" name:"canary_listener_age_seconds" help:"Time since a self-test was last received by a listener."`
	LastSent     time.Time `json:"last_sent,omitzero" name:"-"`
	LastSeen     time.Time `json:"last_seen,omitzero" name:"-" show:"some" words:"received"`
	Milliseconds float64   `json:"milliseconds" name:"canary_listener_latency_seconds" help:"Time from the sending of the last self-test to a listener." scale:"0.001" if:"LastSeen"` // to its receipt
	// Trouble is why none can be sent; empty = it can.
	Trouble string `json:"trouble,omitempty" show:"some" words:"cannot be sent"`
}

// milliseconds gives a duration with the resolution of a canary.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// SetAges fills in the ages at a time, of a process that began at since.
func (s *Status) SetAges(now, since time.Time) {
	if s.EverySeconds == 0 {
		return
	}
	age := func(last time.Time) *float64 {
		if last.IsZero() {
			last = since
		}
		seconds := max(now.Sub(last).Seconds(), 0)
		return &seconds
	}
	s.AgeSeconds = age(s.LastSeen)
	for name, l := range s.Listeners {
		l.AgeSeconds = age(l.LastSeen)
		s.Listeners[name] = l
	}
	for name, at := range s.Sinks {
		at.AgeSeconds = age(at.Last)
		s.Sinks[name] = at
	}
}
