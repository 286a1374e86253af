// Package storm finds listed entries that match an absurd share of all flows, as an entry
// does that should not be on a list: a resolver that everybody uses, a range that is far too
// wide. A [Watch] looks once a minute, puts such an entry into quarantine and has the
// correlator roll it up: it stays listed, but its unanswered inbound flows are one contact.
// cmd/internal/app makes the watch, calls it now and then, and reports what it has found.
//
// It is no tap of the workers: it needs the hits of each entry, which the correlator tallies
// as it handles them, and the number of all flows, which the decoders count for each set
// anyhow. A tap would count both a second time on the path. Hits that were lost because the
// queue was full are missing in the tally, which makes a share too low. Hits that waited in the
// queue at the turn of the minute count for the next, which can make its share too high.
package storm

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// Every is how long the flows are counted that an entry's share is of.
const Every = time.Minute

// Lists keep the quarantine, and what the operator has configured for it.
type Lists interface {
	// Limits give the share of the flows, in percent, from which on an entry is put into
	// quarantine, 0 = never; and the number of flows below which a minute is not judged.
	Limits() (share, minFlows int)
	Quarantined() []netip.Prefix
	// Quarantine puts an entry into quarantine, and reports whether that is new. With an
	// error beside true it is in force and not saved.
	Quarantine(p netip.Prefix, why string) (added bool, err error)
}

// Contacts are the correlator: the hits of each entry since the last call, and what is
// rolled up.
type Contacts interface {
	TakeShares() map[netip.Prefix]uint64
	RollUp([]netip.Prefix)
}

// A Watch looks for storms. Its methods may be called from any goroutine.
type Watch struct {
	lists    Lists
	contacts Contacts
	table    *lookup.Store
	decoded  func() uint64 // flow records so far

	mu       sync.Mutex
	flows    uint64 // decoded until the last look
	next     time.Time
	rolledUp []netip.Prefix // as the contacts have it
}

// New makes a watch over what the table in force lists. decoded gives the number of all flow
// records so far.
func New(lists Lists, contacts Contacts, table *lookup.Store, decoded func() uint64) *Watch {
	return &Watch{lists: lists, contacts: contacts, table: table, decoded: decoded}
}

// A Storm is an entry that has been put into quarantine.
type Storm struct {
	Entry intel.Indicator
	Why   string // how much it has matched, in words
}

// News are what has changed.
type News struct {
	Found  []Storm
	Over   []netip.Prefix // no longer in quarantine
	Failed []error        // of entries that could not be quarantined, or not be saved
}

// Look has the contacts roll up what is in quarantine, and judges the last minute if it is
// over.
func (w *Watch) Look(now time.Time) (n News) {
	w.mu.Lock()
	defer w.mu.Unlock()
	share, minFlows := w.lists.Limits()
	w.rollUp(share > 0, &n)
	if now.Before(w.next) {
		return n
	}
	w.next = now.Add(Every)
	all := w.decoded()
	flows := all - w.flows
	w.flows = all
	hits := w.contacts.TakeShares()
	if share == 0 || flows < uint64(minFlows) {
		return n
	}
	for p, matched := range hits {
		if matched*100 >= uint64(share)*flows && !w.table.Load().ByOperator(p) {
			w.quarantine(p, fmt.Sprintf("it matched %d of %d flows within a minute", matched, flows), &n)
		}
	}
	w.rollUp(true, &n)
	return n
}

// rollUp has the contacts roll up what is in quarantine, and nothing else.
func (w *Watch) rollUp(enabled bool, n *News) {
	var all []netip.Prefix
	if enabled {
		all = w.lists.Quarantined()
	}
	if slices.Equal(all, w.rolledUp) {
		return
	}
	for _, p := range w.rolledUp {
		if !slices.Contains(all, p) {
			n.Over = append(n.Over, p)
		}
	}
	w.contacts.RollUp(all)
	w.rolledUp = all
}

// quarantine puts an entry into quarantine, unless it has gone with a newer table.
func (w *Watch) quarantine(p netip.Prefix, why string, n *News) {
	listings := w.table.Load().Listings(p)
	i := slices.IndexFunc(listings, func(ind intel.Indicator) bool { return ind.Prefix == p })
	if i < 0 {
		return
	}
	added, err := w.lists.Quarantine(p, why)
	if err != nil {
		n.Failed = append(n.Failed, fmt.Errorf("quarantine of entry %s: %w", p, err))
	}
	if added {
		n.Found = append(n.Found, Storm{Entry: listings[i], Why: why})
	}
}
