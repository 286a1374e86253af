package app

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// alertQuarantined is the name of the alert of an entry whose hits are rolled up.
const alertQuarantined = "entry_quarantined"

// stormEvery is how long the flows are counted that an entry's share is of.
const stormEvery = time.Minute

// A stormWatch finds entries of feeds that match an absurd share of all flows.
type stormWatch struct {
	mu    sync.Mutex
	flows uint64 // decoded until the last look
	next  time.Time

	rolledUp []netip.Prefix // as the correlator has it
}

// watchStorms looks at the last minute, if it is over.
func (a *App) watchStorms(now time.Time) {
	a.storms.mu.Lock()
	defer a.storms.mu.Unlock()
	a.rollUp()
	if now.Before(a.storms.next) {
		return
	}
	a.storms.next = now.Add(stormEvery)
	all := a.flowsDecoded()
	flows := all - a.storms.flows
	a.storms.flows = all
	hits := a.contacts.TakeShares()
	q := &a.feeds.config().Intel.Quarantine // as of the last reload
	if q.Share == 0 || flows < uint64(q.MinFlows) {
		return
	}
	for p, n := range hits {
		if n*100 < uint64(q.Share)*flows || a.store.Load().ByOperator(p) {
			continue
		}
		a.quarantine(p, n, flows)
	}
	a.rollUp()
}

// rollUp has the correlator roll up what is in quarantine, and nothing else.
func (a *App) rollUp() {
	var all []netip.Prefix
	if a.feeds.config().Intel.Quarantine.Share > 0 {
		for _, q := range a.feeds.quarantined() {
			all = append(all, q.Prefix)
		}
	}
	if slices.Equal(all, a.storms.rolledUp) {
		return
	}
	for _, p := range a.storms.rolledUp {
		if !slices.Contains(all, p) {
			a.log.Info(fmt.Sprintf("the quarantine of entry %s is over; its hits make contacts of their own", p))
		}
	}
	a.contacts.RollUp(all)
	a.storms.rolledUp = all
}

// quarantine marks an entry as one to roll up, and says so once.
func (a *App) quarantine(p netip.Prefix, hits, flows uint64) {
	var listed intel.Indicator
	for _, ind := range a.store.Load().Listings(p) {
		if ind.Prefix == p {
			listed = ind
			break
		}
	}
	if listed.Feed == "" {
		return // gone with a newer set
	}
	why := fmt.Sprintf("it matched %d of %d flows within a minute", hits, flows)
	added, err := a.feeds.quarantine(p, why)
	if err != nil {
		a.log.Error(fmt.Sprintf("quarantine of entry %s: %s", p, err))
	}
	if added {
		a.alert(alertQuarantined, fmt.Sprintf("entry %s of feed %s is quarantined: %s, which no such entry should; it stays listed, but its unanswered inbound flows are one contact for a day, or until 'flowsnitch intel accept %s'",
			p, listed.Feed, why, p), &listed)
	}
}

// flowsDecoded counts the flow records of all workers.
func (a *App) flowsDecoded() uint64 {
	var n uint64
	for _, l := range a.listeners {
		for _, w := range l.workers {
			d := w.Decoded()
			n += d.V5.Records + d.V9.Records + d.IPFIX.Records + d.SFlow.Records
		}
	}
	return n
}
