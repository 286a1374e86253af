package sinks

import (
	"errors"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// maxProofs bounds the canaries that wait for a [Holder] to be sure of them.
const maxProofs = 64

// A proof is a canary that the sink has taken.
type proof struct {
	number uint64 // events delivered up to it
	canary event.Canary
	at     time.Time
}

// OnCanary has f called for every canary that the sink has delivered, and when: of a
// [Holder] once it is sure of it. A canary that the filter stops counts as delivered when
// a [Prober] could have delivered it, after all events before it. The goroutine that delivers calls f. It must be
// called before Start.
func (r *Runner) OnCanary(f func(c event.Canary, at time.Time)) { r.onCanary = f }

// prove notes the canaries among the next n events of the batch, which the sink has
// just taken.
func (r *Runner) prove(n int, at time.Time) {
	if r.onCanary == nil {
		return
	}
	rest := r.cursor.Rest()[:n]
	for i := range rest {
		if e := &rest[i]; e.Kind == event.KindCanary {
			before := r.cursor.Counts().Delivered
			r.proofs = append(r.proofs, proof{before + uint64(i) + 1, e.Canary(), at})
		}
	}
	if over := len(r.proofs) - maxProofs; over > 0 {
		r.proofs = slices.Delete(r.proofs, 0, over)
	}
}

// unprove forgets the canaries that are to be sent again.
func (r *Runner) unprove(delivered uint64) {
	r.proofs = slices.DeleteFunc(r.proofs, func(p proof) bool { return p.number > delivered })
}

// reportProofs reports the canaries among the events that the sink is sure of.
func (r *Runner) reportProofs(certain uint64) {
	n := 0
	for ; n < len(r.proofs) && r.proofs[n].number <= certain; n++ {
		r.onCanary(r.proofs[n].canary, r.proofs[n].at)
	}
	r.proofs = slices.Delete(r.proofs, 0, n)
}

// toProbe notes a canary that the filter has stopped, if the sink can prove its way
// without it.
func (r *Runner) toProbe(e *event.Event) {
	if e.Kind != event.KindCanary || r.prober == nil || r.onCanary == nil {
		return
	}
	if len(r.probes) == maxProofs {
		r.probes = slices.Delete(r.probes, 0, 1)
	}
	r.probes = append(r.probes, *e)
}

// probe has the way proven for the canaries that were stopped, once what came before
// them is delivered: one proof serves all. An error means that a [Holder] wants events
// again; any other failure shows in the counters, and the next canary is the next try.
func (r *Runner) probe() error {
	if len(r.probes) == 0 {
		return nil
	}
	canaries := r.probes
	defer func() { r.probes = slices.Delete(r.probes, 0, len(r.probes)) }()
	ctx, cancel := r.attempt()
	defer cancel()
	r.sending(time.Now())
	err := r.prober.Probe(ctx, &canaries[len(canaries)-1])
	r.sending(time.Time{})
	if r.ctx.Err() != nil {
		return nil // it was interrupted
	}
	if r.probed(err) {
		return err
	}
	for i := range canaries {
		if err == nil {
			r.onCanary(canaries[i].Canary(), time.Now())
		}
	}
	return nil
}

// probed counts the outcome of a probe. It reports whether events come again.
func (r *Runner) probed(err error) bool {
	if !r.sent(err) {
		return false
	}
	r.certain()
	retry, ok := errors.AsType[*RetryError](err)
	return ok && retry.Sent < 0 && r.goBack(uint64(-retry.Sent))
}
