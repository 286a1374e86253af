package app

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/storm"
	"go.uber.org/zap"
)

// alertQuarantined is the name of the alert of an entry whose hits are rolled up.
const alertQuarantined = "entry_quarantined"

// A stormWatch reports the entries of feeds that match an absurd share of all flows.
type stormWatch struct {
	passive
	watch *storm.Watch
	alert func(name, text string, about *intel.Indicator)
	log   *zap.Logger
}

func newStormWatch(a *App, alert func(string, string, *intel.Indicator)) *stormWatch {
	decoded := func() uint64 {
		d := a.listeners.decoded()
		return d.V5.Records + d.V9.Records + d.IPFIX.Records + d.SFlow.Records
	}
	w := &stormWatch{watch: storm.New(stormLists{a.feeds}, tallied{a.contacts.correlator}, a.store, decoded), alert: alert, log: a.log}
	a.background.every("the quarantine", often, w.look)
	return w
}

// look reports what the watch has found, each entry once.
func (w *stormWatch) look(now time.Time) {
	news := w.watch.Look(now)
	for _, p := range news.Over {
		w.log.Info(fmt.Sprintf("the quarantine of entry %s is over; its hits make contacts of their own", p))
	}
	for _, err := range news.Failed {
		w.log.Error(err.Error())
	}
	for _, s := range news.Found {
		p := s.Entry.Prefix
		w.alert(alertQuarantined, fmt.Sprintf("entry %s of feed %s is quarantined: %s, which no such entry should; it stays listed, but its unanswered inbound flows are one contact for a day, or until 'flowsnitch intel accept %s'",
			p, s.Entry.Feed, s.Why, p), &s.Entry)
	}
}

// stormLists are the feeds as the watch needs them, by the configuration of the last reload.
type stormLists struct{ *feedService }

// Limits are those of the quarantine.
func (l stormLists) Limits() (share, minFlows int) {
	q := &l.config().Intel.Quarantine
	return q.Share, q.MinFlows
}

// Quarantined are the prefixes in quarantine.
func (l stormLists) Quarantined() (all []netip.Prefix) {
	for _, q := range l.quarantined() {
		all = append(all, q.Prefix)
	}
	return all
}

// Quarantine adds a prefix.
func (l stormLists) Quarantine(p netip.Prefix, why string) (added bool, err error) {
	return l.quarantine(p, why)
}

// tallied is the correlator as the watch needs it.
type tallied struct{ *correlate.Correlator }

// TakeShares gives the hits of each entry.
func (t tallied) TakeShares() map[netip.Prefix]uint64 { return t.Tally().TakeShares() }
