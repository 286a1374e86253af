package question

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 15)) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestCheck: what is refused, why, and what makes it allowed.
func TestCheck(t *testing.T) {
	home := span.OfAll([]netip.Prefix{prefix("10.0.0.0/8"), prefix("fc00::/7")})
	for _, tt := range []struct {
		q    Question
		of   []string
		want string
		ours int
	}{
		{of: []string{"203.0.113.9/32"}},
		{of: nil, want: "no address"},
		{of: []string{"0.0.0.0/0"}, want: "0.0.0.0/0 is more than a /8"},
		{of: []string{"::/0"}, want: "is more than a /8"},
		{of: []string{"203.0.113.9/32", "64.0.0.0/7"}, want: "64.0.0.0/7 is more than a /8"},
		{of: []string{"64.0.0.0/8"}},
		{of: []string{"2000::/15"}, want: "2000::/15 is more than"},
		{of: []string{"2000::/16"}},
		{q: Question{Force: true}, of: []string{"0.0.0.0/0"}},
		{q: Question{Hosts: []netip.Prefix{prefix("10.0.0.5/32")}}, of: []string{"0.0.0.0/0", "::/0"}},
		{of: []string{"10.0.0.5/32"}, want: "10.0.0.5 is in home", ours: 1},
		{of: []string{"fd00::1/128", "10.0.0.0/8"}, want: "10.0.0.0/8 is in home", ours: 2},
		{of: []string{"10.0.0.5/32", "203.0.113.9/32"}, ours: 1},
		{of: []string{"10.0.0.0/7"}, q: Question{Force: true}},
		{of: []string{"10.0.0.5/32"}, q: Question{Force: true}, ours: 1},
		{of: []string{"203.0.113.9/32"}, q: Question{Since: day, Until: day.Add(-1)}, want: "before it begins"},
		{of: []string{"203.0.113.9/32"}, q: Question{Ports: make([]uint16, 1001)}, want: "1001 ports"},
	} {
		var prefixes []netip.Prefix
		for _, s := range tt.of {
			prefixes = append(prefixes, prefix(s))
		}
		tt.q.Ranges = span.OfAll(prefixes)
		ours, err := tt.q.Check(home)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || ours != tt.ours {
			t.Errorf("%v: %d ours, %v; want %d, %q", tt.of, ours, err, tt.ours, tt.want)
		}
	}
}

// TestRanges: taking ranges away from others, and sending them, agrees with single
// addresses.
func TestRanges(t *testing.T) {
	r := seeded(5)
	at := func(n int) flow.Addr6 { return flow.Addr6{Hi: uint64(n >> 4), Lo: ^uint64(0) - 15 + uint64(n&15)} }
	var all []flow.Addr6
	for n := range 64 {
		all = append(all, at(n))
	}
	any := func() (list []span.Range) {
		for n := r.IntN(4); n < 60; n += 1 + r.IntN(20) {
			to := min(n+r.IntN(9), 63)
			list = append(list, span.Range{From: at(n), To: at(to)})
			n = to + 1
		}
		return span.Join(list)
	}
	has := func(list []span.Range, a flow.Addr6) bool { return span.Within(list, span.One(a)) }
	for range 3000 {
		a, b := any(), any()
		for i := range a { // a step from one block to the next is no neighbour
			if a[i].From.Hi != a[i].To.Hi {
				a[i].To = a[i].From
			}
		}
		left := without(a, b)
		for _, x := range all {
			if want := has(a, x) && !has(b, x); has(left, x) != want {
				t.Fatalf("%v without %v is %v: %v is in it: %v", a, b, left, x, !want)
			}
		}
		var sent bytes.Buffer
		if n, err := (&Question{Ranges: left, Limit: 7}).WriteTo(&sent); err != nil || n != int64(sent.Len()) {
			t.Fatal(n, err)
		}
		if q, err := Read(&sent, 100); err != nil || q.Limit != 7 || !slices.Equal(q.Ranges, left) {
			t.Fatalf("%v was read as %v, %v", left, q.Ranges, err)
		}
	}
	if left := without(span.All(), span.All()); len(left) != 0 {
		t.Errorf("all without all is %v", left)
	}
	max := flow.Addr6{Hi: ^uint64(0), Lo: ^uint64(0)}
	if left := without(span.All(), []span.Range{{From: max, To: max}}); len(left) != 1 || left[0].To != before(max) {
		t.Errorf("all but the last is %v", left)
	}
}

// TestRead: what is sent by others is read in any order, and what is no question is
// refused with its line.
func TestRead(t *testing.T) {
	q, err := Read(strings.NewReader("{}\n203.0.113.9\n10.0.0.0/8\n2001:db8::1-2001:db8::9\n203.0.113.0-203.0.113.99\n"), 4)
	if want := span.OfAll([]netip.Prefix{prefix("10.0.0.0/8")}); err != nil || len(q.Ranges) != 3 || q.Ranges[0] != want[0] || text(q.Ranges[1]) != "203.0.113.0-203.0.113.99" {
		t.Errorf("%v, %v", q, err)
	}
	for in, want := range map[string]string{
		"": "the question is missing", "x": "line 1", `{"nope":1}`: `unknown field "nope"`, "{}\nx": "line 2", "{}\n1.1.1.1\n2.2.2.2-1.1.1.1": "line 3", "{}\n1.1.1.1-": "line 2",
		"{}\n1.1.1.1/33": "line 2", "{}\nfe80::1%x": "line 2", "{}\n\n": "line 2", "{}\n1.1.1.1\n1.1.1.2\n1.1.1.3\n1.1.1.4\n1.1.1.5": "more than 4",
		strings.Repeat(" ", 300_000): "too long",
	} {
		if _, err := Read(strings.NewReader(in), 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
}

// TestJoin: ranges that overlap become one, in whatever order they come.
func TestJoin(t *testing.T) {
	for _, list := range []string{"203.0.113.9\n203.0.113.0-203.0.113.99", "203.0.113.0-203.0.113.99\n203.0.113.9", "203.0.113.0-203.0.113.50\n203.0.113.9-203.0.113.99", "203.0.113.0-203.0.113.99\n203.0.113.99"} {
		q, err := Read(strings.NewReader("{}\n"+list), 10)
		if err != nil || len(q.Ranges) != 1 || text(q.Ranges[0]) != "203.0.113.0-203.0.113.99" {
			t.Errorf("%q: %v, %v", list, q.Ranges, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{\"since\":\"2026-11-01T00:00:00Z\",\"hosts\":[\"10.0.0.0/8\"],\"ports\":[443],\"limit\":5}\n203.0.113.9\n10.0.0.0/8\n2001:db8::1-2001:db8::9\n")
	f.Add("{}\n203.0.113.9\n203.0.113.0-203.0.113.99\n")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Read(strings.NewReader(s), 100)
		if err != nil {
			return
		}
		for i, r := range q.Ranges {
			if r.From.Compare(r.To) > 0 || i > 0 && q.Ranges[i-1].To.Compare(r.From) >= 0 {
				t.Fatalf("%q: %v are not sorted and joined", s, q.Ranges)
			}
		}
		_, _ = q.Check(nil)
	})
}

// TestReadList: lists of all kinds, and the ones that are none.
func TestReadList(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "203.0.113.9\n198.51.100.0/24 # x\nnonsense\n203.0.113.9\n", want: "198.51.100.0/24 203.0.113.9"},
		{in: "table <bad> persist { 198.51.100.0/30, !198.51.100.1 }", want: "198.51.100.0 198.51.100.2/31"},
		{in: `{"cidr":"203.0.113.0/24","sblid":"SBL1"}` + "\n" + `{"type":"metadata","records":1}` + "\n", want: "203.0.113.0/24"},
		{in: "", err: "an empty list"},
		{in: "# nothing\n", err: "an empty list"},
		{in: "one.example\ntwo.example\n", err: "no address or prefix in 2 rows"},
		{in: "<!DOCTYPE html><p>gone", err: "HTML"},
		{in: `{"cidr":"203.0.113.0/24","sblid":"SBL1"}` + "\n", err: "its end is missing"},
		{in: "table <bad> persist { 198.51.100.1, !198.51.100.0/24 }", err: "excludes all"},
	} {
		ranges, _, err := ReadList(strings.NewReader(tt.in))
		var got []string
		for _, r := range ranges {
			got = append(got, text(r))
		}
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
	if _, _, err := readList(strings.NewReader("192.0.2.1\n192.0.2.2\n192.0.2.3\n"), 2); err == nil || !strings.Contains(err.Error(), "more than 2 entries") {
		t.Errorf("a list that is too long: %v", err)
	}
}
