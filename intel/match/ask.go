package match

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// An Asker is given the outside addresses that no table lists, with the record that
// shows them and the time of its receipt. It belongs to the goroutine of one worker,
// must not wait, and not keep what it is given.
type Asker interface {
	// Claim4 and Claim6 append to claimed the indices of the addresses about which
	// nothing is known yet and that have not been claimed for a while.
	Claim4(addrs []uint32, now time.Time, claimed []int32) []int32
	Claim6(addrs []flow.Addr6, now time.Time, claimed []int32) []int32
	// Room reports whether Ask would take the address; if not, it is counted.
	Room(addr netip.Addr, now time.Time) bool
	// Ask hands over an address at a side of r. forms are the addresses to look up for it:
	// the address itself, and the IPv4 address in it; an invalid one is none.
	Ask(r *flow.Record, side flow.Side, addr netip.Addr, forms [2]netip.Addr, now time.Time)
}

// An Asking is the tap that hands every outside address that nothing lists to an asker.
// Only for an address that is new to that, and for which it has room, a record is built.
type Asking struct {
	store *lookup.Store
	asker Asker
	found []int32     // scratch: indices of claimed addresses
	rec   flow.Record // scratch: the record that shows an address to the asker
}

// NewAsking makes the tap for one worker.
func NewAsking(store *lookup.Store, a Asker) *Asking { return &Asking{store: store, asker: a} }

// Records hands over the addresses of a set that nothing lists.
func (m *Asking) Records(s *decode.Set) {
	t, now := m.store.Load(), s.Received()
	m.found = m.asker.Claim4(s.V4, now, m.found[:0])
	for _, i := range m.found {
		m.askFor(t, s, s.Row4(int(i)), flow.Addr4(s.V4[i]))
	}
	m.found = m.asker.Claim6(s.V6, now, m.found[:0])
	for _, i := range m.found {
		m.askFor(t, s, s.Row6(int(i)), s.V6[i].Addr())
	}
}

// askFor hands over an address with the forms of it that nothing lists: itself, and the
// IPv4 address in it, unless that is another address of the same record.
func (m *Asking) askFor(t *lookup.Table, s *decode.Set, row int, addr netip.Addr) {
	forms := t.Unlisted(addr)
	if forms == ([2]netip.Addr{}) || !m.asker.Room(addr, s.Received()) {
		return
	}
	s.Record(row, &m.rec)
	at := flow.NumSides
	for side := range flow.NumSides {
		switch a, _ := m.rec.At(side); {
		case a == addr && at == flow.NumSides:
			at = side
		case a == forms[1]:
			forms[1] = netip.Addr{} // the other side of a NAT64
		}
	}
	if at != flow.NumSides && forms != ([2]netip.Addr{}) {
		m.asker.Ask(&m.rec, at, addr, forms, s.Received())
	}
}
