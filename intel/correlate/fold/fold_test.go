package fold

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

// TestAloneByOracle counts contacts more and less at random, and compares what has to fold
// with plain maps.
func TestAloneByOracle(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := New(10)
		var a Alone
		type host struct {
			site uint16
			addr netip.Addr
		}
		hosts, oneSided := map[host]int{}, 0
		for range 3000 {
			h := host{uint16(rng.IntN(2)), address(rng.IntN(Hosts))}
			scan := len(hosts) >= Hosts
			if n, ok := hosts[h]; ok {
				scan = n >= Ports
			}
			if got := m.Full(&a, AsScan, h.site, h.addr); got != scan {
				t.Fatalf("seed %d: a scan folds: %v, want %v", seed, got, scan)
			}
			if got := m.Full(&a, AsOneSided, h.site, h.addr); got != (oneSided >= OneSided) {
				t.Fatalf("seed %d: what is one-sided folds: %v at %d", seed, got, oneSided)
			}
			switch {
			case rng.IntN(3) == 0 && oneSided > 0:
				m.Add(&a, AsOneSided, h.site, h.addr, -1)
				oneSided--
			case rng.IntN(2) == 0:
				m.Add(&a, AsOneSided, h.site, h.addr, 1)
				oneSided++
			case hosts[h] > 0 && rng.IntN(3) == 0:
				m.Add(&a, AsScan, h.site, h.addr, -1)
				if hosts[h]--; hosts[h] == 0 {
					delete(hosts, h)
				}
			case !scan:
				m.Add(&a, AsScan, h.site, h.addr, 1)
				hosts[h]++
			}
		}
	}
	m := New(10)
	if m.Full(nil, AsScan, 0, address(0)) || m.Full(nil, AsOneSided, 0, address(0)) || m.Full(new(Alone), Never, 0, address(0)) {
		t.Error("the first contact of an offender folds")
	}
}

// TestJoinByOracle joins random flows, and compares the counts with plain sets: exact up to
// 1,000, and below that only where all folded contacts together remember no more.
func TestJoinByOracle(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := New([]int{10, 100_000}[seed%2])
		var folds [3]Fold
		var hosts, ports [3]map[any]bool
		for i := range folds {
			hosts[i], ports[i] = map[any]bool{}, map[any]bool{}
		}
		spread := 1 + rng.IntN(3000)
		for range 5000 {
			i := rng.IntN(len(folds))
			e := conversation.Ends{Offender: address(1), Local: address(rng.IntN(spread)), ServicePort: uint16(rng.IntN(spread)), Protocol: 6}
			hosts[i][e.Local], ports[i][e.ServicePort] = true, true
			m.Join(&folds[i], &e)
			if m.values > m.max+2*len(folds) {
				t.Fatalf("seed %d: %d values, want at most %d and one for each count", seed, m.values, m.max)
			}
		}
		for i := range folds {
			var ev event.Event
			folds[i].Fill(&ev)
			for _, c := range []struct {
				got    uint32
				capped bool
				want   int
			}{{ev.Hosts, ev.HostsCapped, len(hosts[i])}, {ev.Ports, ev.PortsCapped, len(ports[i])}} {
				if !c.capped && int(c.got) != c.want || c.capped && int(c.got) >= c.want || c.capped && c.got < exact && m.Cut() == 0 {
					t.Errorf("seed %d: %d, capped %v, of %d; %d counts cut", seed, c.got, c.capped, c.want, m.Cut())
				}
			}
			if one := len(hosts[i]) == 1; one != ev.Local.IsValid() {
				t.Errorf("seed %d: local address %v of %d", seed, ev.Local, len(hosts[i]))
			}
			m.Forget(&folds[i])
		}
		if m.values != 0 {
			t.Errorf("seed %d: %d values are left", seed, m.values)
		}
	}
}

// TestRolledUp: a match is rolled up only when all that lists it is.
func TestRolledUp(t *testing.T) {
	wide, narrow := netip.MustParsePrefix("62.0.0.0/8"), netip.MustParsePrefix("62.1.2.3/32")
	match := func(prefixes ...netip.Prefix) lookup.Match {
		var list []intel.Indicator
		for _, p := range prefixes {
			list = append(list, intel.Indicator{Prefix: p, Feed: "a"})
		}
		return lookup.MatchOf("v1", netip.Addr{}, list)
	}
	m := New(10)
	if _, ok := m.RolledUp(match(wide)); ok {
		t.Error("rolled up, though nothing is")
	}
	m.RollUp([]netip.Prefix{wide})
	if p, ok := m.RolledUp(match(wide)); !ok || p != wide {
		t.Errorf("%v, %v", p, ok)
	}
	if _, ok := m.RolledUp(match(narrow, wide)); ok {
		t.Error("rolled up, though another entry lists it as well")
	}
	if _, ok := m.RolledUp(match()); ok {
		t.Error("rolled up without a listing")
	}
}
