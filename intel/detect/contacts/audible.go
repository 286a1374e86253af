package contacts

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// An Audible is a taker that is given nothing of addresses outside that are quiet: everything
// of them is silenced, or their incident is a false alarm.
type Audible struct {
	Taker
	Quiet func(netip.Addr) bool // nil = none is
	Left  uint64                // observations that were left out

	last  flow.Addr6 // rows come in the order of the addresses outside
	quiet bool
}

// Observe leaves out what is quiet.
func (a *Audible) Observe(o *rule.Observation) {
	if a.Quiet != nil && o.Outside != a.last {
		a.last, a.quiet = o.Outside, a.Quiet(o.Outside.Addr().Unmap())
	}
	if a.quiet {
		a.Left++
		return
	}
	a.Taker.Observe(o)
}
