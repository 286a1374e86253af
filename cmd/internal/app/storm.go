package app

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"go.uber.org/zap"
)

// alertQuarantined is the name of the alert of an entry whose hits are rolled up.
const alertQuarantined = "entry_quarantined"

// stormEvery is how long the flows are counted that an entry's share is of.
const stormEvery = time.Minute

// A stormWatch finds entries of feeds that match an absurd share of all flows.
type stormWatch struct {
	feeds    *feedDesk
	store    *lookup.Store
	contacts *correlate.Correlator
	decoded  func() decode.Stats
	alert    func(name, text string, about *intel.Indicator)
	log      *zap.Logger

	flows uint64 // decoded until the last look
	next  time.Time

	rolledUp []netip.Prefix // as the correlator has it
}

func newStormWatch(a *App, alert func(string, string, *intel.Indicator)) *stormWatch {
	w := &stormWatch{feeds: a.feeds, store: a.store, contacts: a.contacts.correlator, decoded: a.listeners.decoded, alert: alert, log: a.log}
	a.background.every("the quarantine", often, w.look)
	return w
}

// Start has nothing to open.
func (w *stormWatch) Start() error { return nil }

// Stop has nothing to end.
func (w *stormWatch) Stop(context.Context) error { return nil }

// look looks at the last minute, if it is over.
func (w *stormWatch) look(now time.Time) {
	w.rollUp()
	if now.Before(w.next) {
		return
	}
	w.next = now.Add(stormEvery)
	d := w.decoded()
	all := d.V5.Records + d.V9.Records + d.IPFIX.Records + d.SFlow.Records
	flows := all - w.flows
	w.flows = all
	hits := w.contacts.Tally().TakeShares()
	q := &w.feeds.config().Intel.Quarantine // as of the last reload
	if q.Share == 0 || flows < uint64(q.MinFlows) {
		return
	}
	for p, n := range hits {
		if n*100 < uint64(q.Share)*flows || w.store.Load().ByOperator(p) {
			continue
		}
		w.quarantine(p, n, flows)
	}
	w.rollUp()
}

// rollUp has the correlator roll up what is in quarantine, and nothing else.
func (w *stormWatch) rollUp() {
	var all []netip.Prefix
	if w.feeds.config().Intel.Quarantine.Share > 0 {
		for _, q := range w.feeds.quarantined() {
			all = append(all, q.Prefix)
		}
	}
	if slices.Equal(all, w.rolledUp) {
		return
	}
	for _, p := range w.rolledUp {
		if !slices.Contains(all, p) {
			w.log.Info(fmt.Sprintf("the quarantine of entry %s is over; its hits make contacts of their own", p))
		}
	}
	w.contacts.RollUp(all)
	w.rolledUp = all
}

// quarantine marks an entry as one to roll up, and says so once.
func (w *stormWatch) quarantine(p netip.Prefix, hits, flows uint64) {
	var listed intel.Indicator
	for _, ind := range w.store.Load().Listings(p) {
		if ind.Prefix == p {
			listed = ind
			break
		}
	}
	if listed.Feed == "" {
		return // gone with a newer set
	}
	why := fmt.Sprintf("it matched %d of %d flows within a minute", hits, flows)
	added, err := w.feeds.quarantine(p, why)
	if err != nil {
		w.log.Error(fmt.Sprintf("quarantine of entry %s: %s", p, err))
	}
	if added {
		w.alert(alertQuarantined, fmt.Sprintf("entry %s of feed %s is quarantined: %s, which no such entry should; it stays listed, but its unanswered inbound flows are one contact for a day, or until 'flowsnitch intel accept %s'",
			p, listed.Feed, why, p), &listed)
	}
}
