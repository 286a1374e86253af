package app

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// alertQuarantined is the name of the alert of an entry that was taken out.
const alertQuarantined = "entry_quarantined"

// stormEvery is how long the flows are counted that an entry's share is of.
const stormEvery = time.Minute

// A stormWatch finds entries of feeds that match an absurd share of all flows.
type stormWatch struct {
	mu    sync.Mutex
	flows uint64 // decoded until the last look
	next  time.Time
}

// watchStorms looks at the last minute, if it is over.
func (a *App) watchStorms(now time.Time) {
	a.storms.mu.Lock()
	defer a.storms.mu.Unlock()
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
}

// quarantine takes an entry out of the set, and says so once.
func (a *App) quarantine(p netip.Prefix, hits, flows uint64) {
	why := fmt.Sprintf("it matched %d of %d flows within a minute", hits, flows)
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
	if err := a.feeds.quarantine(p, why); err != nil {
		a.log.Error("an entry that matches too much is not quarantined: " + err.Error())
		return
	}
	a.alert(alertQuarantined, fmt.Sprintf("entry %s of feed %s is quarantined: %s, which no such entry should; 'flowsnitch intel accept %s' brings it back",
		p, listed.Feed, why, p), &listed)
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
