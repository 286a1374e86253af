package canary

import "time"

// A Status is the self-test, flows sent on purpose, and how far they came; and what
// came from elsewhere.
type Status struct {
	EverySeconds float64   `json:"every_seconds"` // 0 = no self-test
	Sent         uint64    `json:"sent"`
	Seen         uint64    `json:"seen"` // by the correlator
	LastSent     time.Time `json:"last_sent,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	// Stages are milliseconds since the sending of the last one, by stage: received,
	// matched, correlated, journal.
	Stages map[string]float64 `json:"stages,omitempty"`
	// Listeners are by their address.
	Listeners map[string]Listener `json:"listeners,omitempty"`
	// Sinks are by name of the sink: those that get canaries. One that never had any
	// has no time.
	Sinks map[string]At `json:"sinks,omitempty"`
	// Others are hosts that sent canaries from elsewhere, by address; their clocks may
	// differ from ours.
	Others map[string]At `json:"others,omitempty"`

	// What was left out: Limited came too fast or twice, Queue had no room on the way
	// to the correlator, OthersOverCap are of hosts for which the list has no room, and
	// Shapeless flows to the reserved indicator are no canaries.
	Limited       uint64 `json:"limited"`
	Queue         uint64 `json:"queue_full"`
	OthersOverCap uint64 `json:"others_over_cap"`
	Shapeless     uint64 `json:"shapeless"`
}

// An At tells when a canary was last somewhere, and how long it took to there.
type At struct {
	Last         time.Time `json:"last,omitzero"`
	Milliseconds float64   `json:"milliseconds"`
}

// A Listener is the self-test at one address.
type Listener struct {
	LastSent     time.Time `json:"last_sent,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	Milliseconds float64   `json:"milliseconds"` // to its receipt
	// Trouble is why none can be sent; empty = it can.
	Trouble string `json:"trouble,omitempty"`
}

// milliseconds gives a duration with the resolution of a canary.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
