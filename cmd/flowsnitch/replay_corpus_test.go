package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// listsPerCapture is how many random lists each capture is asked with.
const listsPerCapture = 4

// A ref is a reference capture's record as decode prints it.
type ref struct {
	Version        any
	Exporter       netip.Addr
	Domain         uint32
	Src, Dst       netip.Addr
	SrcPort        *int       `json:"sport"`
	DstPort        *int       `json:"dport"`
	Protocol       *int       `json:"proto"`
	PostNATSrc     netip.Addr `json:"post_nat_src"`
	PostNATDst     netip.Addr `json:"post_nat_dst"`
	PostNATSrcPort *int       `json:"post_nat_sport"`
	PostNATDstPort *int       `json:"post_nat_dport"`
	Bytes          *uint64
	Inner          struct {
		Src, Dst netip.Addr
		SrcPort  *int `json:"sport"`
		DstPort  *int `json:"dport"`
	}
}

// sides are the places that are matched, in their order.
func (r *ref) sides() []netip.Addr {
	return []netip.Addr{r.Src, r.Dst, r.PostNATSrc, r.PostNATDst, r.Inner.Src, r.Inner.Dst}
}

// ports are those of the sides.
func (r *ref) ports() []*int {
	return []*int{r.SrcPort, r.DstPort, r.PostNATSrcPort, r.PostNATDstPort, r.Inner.SrcPort, r.Inner.DstPort}
}

var sideNames = []string{"src", "dst", "nat_src", "nat_dst", "inner_src", "inner_dst"}

// decoded gives the records of a capture.
func decoded(t *testing.T, path string) []ref {
	t.Helper()
	r := command(t, "decode", path)
	if r.code != exitDone {
		t.Fatalf("exit code %d: %s", r.code, r.err)
	}
	var out []ref
	for line := range strings.Lines(r.out) {
		var rec ref
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

// expectedHit is what a linear scan says of one address in one record.
type expectedHit struct {
	offender netip.Addr
	side     string
	rec      *ref
	listing  []string // all that lists it, sorted
}

// A listed is one line of a list: a prefix, or an address at one port.
type listed struct {
	netip.Prefix
	port int // 0 = any
}

// String is how a list, and this test, writes it.
func (l listed) String() string {
	switch {
	case l.port == 0:
		return l.Prefix.String()
	case l.Addr().Is4():
		return fmt.Sprintf("%s:%d", l.Addr(), l.port)
	}
	return fmt.Sprintf("[%s]:%d", l.Addr(), l.port)
}

// lists tells whether the line lists an address with a port; nil = it has none.
func (l listed) lists(a netip.Addr, port *int) bool {
	return l.Contains(a) && (l.port == 0 || port != nil && l.port == *port)
}

// scan looks for every listed address of every record, one prefix after the other.
func scan(records []ref, list []listed) []expectedHit {
	var out []expectedHit
	for i := range records {
		var seen []netip.Addr
		ports := records[i].ports()
		for side, a := range records[i].sides() {
			if !a.IsValid() || a.IsUnspecified() || slices.Contains(seen, a) {
				continue
			}
			var listing []string
			for _, l := range list {
				if l.lists(a, ports[side]) {
					listing = append(listing, l.String())
				}
			}
			if len(listing) > 0 {
				seen = append(seen, a)
				slices.Sort(listing)
				out = append(out, expectedHit{a, sideNames[side], &records[i], slices.Compact(listing)})
			}
		}
	}
	return out
}

// A nativeHit is what is compared of a printed hit.
type nativeHit struct {
	Kind             string
	SrcIP, DstIP     netip.Addr
	SrcPort, DstPort *int
	Snitch           struct {
		Offender   netip.Addr
		Role       string
		Exporter   netip.Addr
		Domain     uint32
		Version    any
		BytesRaw   *uint64 `json:"bytes_raw"`
		Bytes      uint64
		Indicators []struct {
			Prefix netip.Prefix
			Port   int
		}
		IndicatorsTotal int `json:"indicators_total"`
	} `json:"flowsnitch"`
}

// TestReplayOracle: for every capture and lists made of its own addresses, replay
// gives the hits of a linear scan over the decoded records, in their order.
func TestReplayOracle(t *testing.T) {
	total := 0
	for name, path := range captures(t) {
		t.Run(name, func(t *testing.T) {
			records := decoded(t, path)
			for i := range listsPerCapture {
				rng := rand.New(rand.NewPCG(uint64(i), uint64(len(name))))
				list := randomList(rng, records)
				r := command(t, "replay", "--intel", writeList(t, list), path)
				if r.code != exitDone {
					t.Fatalf("exit code %d: %s", r.code, r.err)
				}
				want := scan(records, list)
				total += len(want)
				compareHits(t, r.out, want)
				if summary := fmt.Sprintf("%d hits, %d events\n", len(want), len(want)); !strings.HasSuffix(r.err, summary) {
					t.Errorf("the summary is %q, want it to end in %q", r.err, summary)
				}
			}
		})
	}
	t.Logf("%d hits compared", total)
}

// writeList writes prefixes in a random order, with single addresses in both forms.
func writeList(t *testing.T, list []listed) string {
	var b strings.Builder
	for i, l := range list {
		if l.IsSingleIP() && l.port == 0 && i%2 == 0 {
			fmt.Fprintln(&b, l.Addr())
			continue
		}
		fmt.Fprintln(&b, l)
	}
	return file(t, "list.txt", b.String())
}

// randomList takes addresses out of the records, some as they are and some within
// prefixes that cover them and each other, in any order. There are always the
// addresses of a record with port 53, after NAT and of inner packets, if any has
// them, and 0.0.0.0 and ::, which nothing matches. Some are listed at a port only.
func randomList(rng *rand.Rand, records []ref) []listed {
	list := []listed{{netip.MustParsePrefix("0.0.0.0/32"), 0}, {netip.MustParsePrefix("::/128"), 0}, {netip.MustParsePrefix("198.51.100.0/24"), 0}}
	add := func(a netip.Addr, port *int) {
		if !a.IsValid() || a.IsUnspecified() {
			return
		}
		whole := netip.PrefixFrom(a, a.BitLen())
		if port != nil && *port != 0 && rng.IntN(3) == 0 {
			list = append(list, listed{whole, *port}, listed{whole, 1 + rng.IntN(65535)})
			if rng.IntN(2) == 0 {
				return
			}
		}
		for range 1 + rng.IntN(4) {
			bits := 1 + rng.IntN(a.BitLen())
			if rng.IntN(3) > 0 {
				bits = a.BitLen() - rng.IntN(a.BitLen()/4) // mostly long ones
			}
			list = append(list, listed{netip.PrefixFrom(a, bits).Masked(), 0})
		}
		if rng.IntN(2) == 0 {
			list = append(list, listed{whole, 0})
		}
	}
	special := map[string]int{}
	for _, i := range rng.Perm(len(records)) {
		r := &records[i]
		for side, a := range r.sides() {
			kind := sideNames[side]
			if r.SrcPort != nil && *r.SrcPort == 53 || r.DstPort != nil && *r.DstPort == 53 {
				kind += " of port 53"
			}
			if a.Is6() {
				kind += " in IPv6"
			}
			if special[kind]++; special[kind] <= 1+rng.IntN(3) {
				add(a, r.ports()[side])
			}
		}
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func compareHits(t *testing.T, out string, want []expectedHit) {
	t.Helper()
	lines := slices.Collect(strings.Lines(out))
	if len(lines) != len(want) {
		t.Errorf("%d hits, want %d", len(lines), len(want))
	}
	for i := range min(len(lines), len(want)) {
		var h nativeHit
		if err := json.Unmarshal([]byte(lines[i]), &h); err != nil {
			t.Fatal(err)
		}
		if diff := want[i].differs(&h); diff != "" {
			t.Fatalf("hit %d: %s\n%s", i, diff, lines[i])
		}
	}
}

// differs tells in what a printed hit is not the expected one.
func (w *expectedHit) differs(h *nativeHit) string {
	s := &h.Snitch
	var listing []string
	for _, i := range s.Indicators {
		listing = append(listing, listed{i.Prefix, i.Port}.String())
	}
	slices.Sort(listing)
	missing := slices.DeleteFunc(slices.Clone(listing), func(p string) bool { return slices.Contains(w.listing, p) })
	bytes := s.Bytes
	if s.BytesRaw != nil {
		bytes = *s.BytesRaw
	}
	switch {
	case h.Kind != "hit":
		return "kind " + h.Kind
	case s.Offender != w.offender || s.Role != w.side:
		return fmt.Sprintf("offender %s as %s, want %s as %s", s.Offender, s.Role, w.offender, w.side)
	case h.SrcIP != w.rec.Src || h.DstIP != w.rec.Dst:
		return fmt.Sprintf("flow %s -> %s, want %s -> %s", h.SrcIP, h.DstIP, w.rec.Src, w.rec.Dst)
	case !w.samePorts(h):
		return fmt.Sprintf("ports %s -> %s, want %s -> %s", text(h.SrcPort), text(h.DstPort), text(w.rec.SrcPort), text(w.rec.DstPort))
	case s.Exporter != w.rec.Exporter || s.Domain != w.rec.Domain:
		return fmt.Sprintf("exporter %s, domain %d; want %s, %d", s.Exporter, s.Domain, w.rec.Exporter, w.rec.Domain)
	case w.rec.Bytes != nil && bytes != *w.rec.Bytes:
		return fmt.Sprintf("%d bytes, want %d", bytes, *w.rec.Bytes)
	case s.IndicatorsTotal == 0 && !slices.Equal(listing, w.listing):
		return fmt.Sprintf("listed by %v, want %v", listing, w.listing)
	case s.IndicatorsTotal != 0 && (s.IndicatorsTotal != len(w.listing) || len(missing) > 0):
		return fmt.Sprintf("listed by %d, some of them %v; want %v", s.IndicatorsTotal, listing, w.listing)
	}
	return ""
}

// samePorts compares the ports, which are those exported whatever the protocol.
func (w *expectedHit) samePorts(h *nativeHit) bool {
	same := func(hit, rec *int) bool { return hit == nil && rec == nil || hit != nil && rec != nil && *hit == *rec }
	return same(h.SrcPort, w.rec.SrcPort) && same(h.DstPort, w.rec.DstPort)
}

func text(p *int) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprint(*p)
}
