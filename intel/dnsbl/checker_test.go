package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A zoneServer answers for one zone, from memory.
type zoneServer struct {
	mu      sync.Mutex
	zone    string
	listed  map[string]string // address -> code; "*" lists everything
	ttl     uint32
	fail    error
	rcode   dnsmessage.RCode
	queries []string
	at      []time.Time
	slow    time.Duration
}

func newZoneServer() *zoneServer {
	return &zoneServer{zone: "bl.example.org.", ttl: 600, listed: map[string]string{
		"127.0.0.2": "127.0.0.2", "::ffff:127.0.0.2": "127.0.0.2", "62.0.0.1": "127.0.0.4", "2a00::1": "127.0.0.2",
	}}
}

func (s *zoneServer) exchange(ctx context.Context, name string, kind dnsmessage.Type) (*dnsmessage.Message, error) {
	s.mu.Lock()
	s.queries = append(s.queries, name)
	s.at = append(s.at, time.Now())
	slow, fail, m := s.slow, s.fail, s.message(name, kind)
	s.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return m, fail
}

func (s *zoneServer) message(name string, kind dnsmessage.Type) *dnsmessage.Message {
	m := &dnsmessage.Message{Header: dnsmessage.Header{Response: true, RCode: s.rcode}}
	code := ""
	for a, c := range s.listed {
		if a == "*" && code == "" || a != "*" && queryName(netip.MustParseAddr(a), s.zone) == name {
			code = c
		}
	}
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), TTL: s.ttl, Class: dnsmessage.ClassINET}
	switch {
	case code == "":
		if m.RCode == dnsmessage.RCodeSuccess {
			m.RCode = dnsmessage.RCodeNameError
		}
		soa := &dnsmessage.SOAResource{MinTTL: 120}
		m.Authorities = []dnsmessage.Resource{{Header: h, Body: soa}}
	case kind == dnsmessage.TypeTXT:
		body := &dnsmessage.TXTResource{TXT: []string{"see https://bl.example.org/?x ", "for why"}}
		m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
	default:
		body := &dnsmessage.AResource{A: netip.MustParseAddr(code).As4()}
		m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
	}
	return m
}

// A fixture is a checker with its hits.
type fixture struct {
	*Checker
	server *zoneServer
	asker  *Asker
	mu     sync.Mutex
	hits   []lookup.Hit
}

func start(t *testing.T, server *zoneServer, change func(*Config)) *fixture {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Zones = []Zone{{Zone: "bl.example.org", Name: "bl", Score: 70, Category: "spam"}}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	f := &fixture{server: server}
	f.Checker = New(cfg, func(h lookup.Hit) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.hits = append(f.hits, h)
	})
	f.exchange = server.exchange
	f.asker = f.NewAsker()
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// show lets a flow to an address be seen, and waits.
func (f *fixture) show(addr string) {
	a := netip.MustParseAddr(addr)
	r := flow.Record{Dst: a}
	f.asker.Ask(&r, flow.SideDst, a, [2]netip.Addr{a}, time.Now())
	time.Sleep(time.Second)
	synctest.Wait()
}

func (f *fixture) take() []lookup.Hit {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hits
	f.hits = nil
	return h
}

// TestListing: a listed address raises a hit with its evidence, one that is not does
// not; both are remembered as long as the zone says.
func TestListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, newZoneServer(), nil)
		time.Sleep(time.Second)
		for _, addr := range []string{"62.0.0.1", "2a00::1"} {
			f.show(addr)
			hits := f.take()
			if len(hits) != 1 {
				t.Fatalf("%s: %d hits", addr, len(hits))
			}
			h := hits[0]
			ind := h.Match.Indicators()[0]
			if h.Offender.String() != addr || h.Side != flow.SideDst || ind.Feed != "bl" || ind.Score != 70 || ind.Category != "spam" ||
				ind.Ref != "https://bl.example.org/?x" || ind.Expires.IsZero() {
				t.Errorf("%+v, %+v", h, ind)
			}
		}
		f.show("62.0.0.2")
		if hits := f.take(); len(hits) != 0 {
			t.Errorf("not listed: %+v", hits)
		}
		before := len(f.server.queries)
		time.Sleep(70 * time.Second)
		f.show("62.0.0.1")
		f.show("62.0.0.2")
		if n := len(f.server.queries) - before; n != 0 || len(f.take()) != 1 {
			t.Errorf("%d queries for what is known", n)
		}
		time.Sleep(70 * time.Second) // the 120 s of the SOA are over, the 600 s of the listing are not
		f.show("62.0.0.1")
		f.show("62.0.0.2")
		if n := len(f.server.queries) - before; n != 1 {
			t.Errorf("%d queries after the end of the negative answer, want 1", n)
		}
		s := f.Stats()
		if s.Asked != s.Cached+s.Listed+s.Unlisted+s.Failed || s.Listed != 2 || s.Unlisted != 2 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestEmbedded: the IPv4 address within an IPv6 address is looked up as well, both in the
// zones of their family; the hit is one of the IPv6 address and names the other one.
func TestEmbedded(t *testing.T) {
	for name, tt := range map[string]struct {
		addr   string
		forms  [2]string
		listed map[string]string
		in     string // what the hit names; "-" = no hit
		feeds  int
	}{
		"within":         {"64:ff9b::3e00:1", [2]string{"", "62.0.0.1"}, nil, "62.0.0.1", 1},
		"both":           {"2002:3e00:1::1", [2]string{"2002:3e00:1::1", "62.0.0.1"}, map[string]string{"2002:3e00:1::1": "127.0.0.2"}, "62.0.0.1", 2},
		"itself alone":   {"2002:3e00:2::1", [2]string{"2002:3e00:2::1", "62.0.0.2"}, map[string]string{"2002:3e00:2::1": "127.0.0.2"}, "", 1},
		"within 6to4":    {"2002:3e00:1::2", [2]string{"2002:3e00:1::2", "62.0.0.1"}, nil, "62.0.0.1", 1},
		"neither":        {"2002:3e00:3::1", [2]string{"2002:3e00:3::1", "62.0.0.3"}, nil, "-", 0},
		"an error of it": {"64:ff9b::3e00:9", [2]string{"", "62.0.0.9"}, map[string]string{"62.0.0.9": "127.255.255.254"}, "-", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newZoneServer()
				for a, code := range tt.listed {
					server.listed[a] = code
				}
				f := start(t, server, nil)
				time.Sleep(time.Second)
				a := netip.MustParseAddr(tt.addr)
				var forms [2]netip.Addr
				for i, s := range tt.forms {
					if s != "" {
						forms[i] = netip.MustParseAddr(s)
					}
				}
				for range 2 { // the second time from the cache
					f.asker.Ask(&flow.Record{Dst: a}, flow.SideDst, a, forms, time.Now())
					time.Sleep(time.Second)
					synctest.Wait()
					hits := f.take()
					if tt.in == "-" {
						if len(hits) != 0 {
							t.Errorf("%+v", hits)
						}
						continue
					}
					if len(hits) != 1 {
						t.Fatalf("%d hits", len(hits))
					}
					in := ""
					if e := hits[0].Match.Embedded(); e.IsValid() {
						in = e.String()
					}
					list := hits[0].Match.Indicators()
					if hits[0].Offender != a || in != tt.in || len(list) != tt.feeds {
						t.Errorf("offender %s, embedded %q, listed by %+v", hits[0].Offender, in, list)
					}
					for _, ind := range list {
						if p := ind.Prefix; p != netip.PrefixFrom(forms[0], 128) && p != netip.PrefixFrom(forms[1], 32) {
							t.Errorf("an indicator for %s", p)
						}
					}
				}
			})
		})
	}
}

// TestErrorsAreNoListings: error codes, rewritten answers, failures and silence.
func TestErrorsAreNoListings(t *testing.T) {
	for name, change := range map[string]func(*zoneServer){
		"over quota":      func(s *zoneServer) { s.listed["62.0.0.9"] = "127.255.255.255" },
		"open resolver":   func(s *zoneServer) { s.listed["62.0.0.9"] = "127.255.255.254" },
		"wrong zone name": func(s *zoneServer) { s.listed["62.0.0.9"] = "127.255.255.252" },
		"hijacked":        func(s *zoneServer) { s.listed["62.0.0.9"] = "203.0.113.80" },
		"rewritten":       func(s *zoneServer) { s.listed["62.0.0.9"] = "127.0.0.1" },
		"refused":         func(s *zoneServer) { s.rcode = dnsmessage.RCodeRefused },
		"servfail":        func(s *zoneServer) { s.rcode = dnsmessage.RCodeServerFailure },
		"broken":          func(s *zoneServer) { s.fail = errors.New("connection refused") },
		"silence":         func(s *zoneServer) { s.slow = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, newZoneServer(), nil)
				time.Sleep(time.Second)
				f.server.mu.Lock()
				change(f.server)
				f.server.mu.Unlock()
				f.show("62.0.0.9")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := f.Stats(); len(f.take()) != 0 || s.Failed != 1 || s.Errors == 0 {
					t.Errorf("%+v", s)
				}
				if z := f.Zones()[0]; z.Error == "" {
					t.Errorf("%+v", z)
				}
			})
		})
	}
}

// TestTestPoints: a zone that does not list what it must, or lists everything, is not
// asked; one that is OK again is.
func TestTestPoints(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*zoneServer)
		want   string
		v4, v6 bool
	}{
		"good":       {func(*zoneServer) {}, "", true, true},
		"no IPv6":    {func(s *zoneServer) { delete(s.listed, "::ffff:127.0.0.2") }, "", true, false},
		"dead":       {func(s *zoneServer) { clear(s.listed) }, "the test point 127.0.0.2 is not listed", false, false},
		"everything": {func(s *zoneServer) { s.listed["*"] = "127.0.0.2" }, "the zone lists everything", false, false},
		"parked": {func(s *zoneServer) {
			s.listed["*"] = "203.0.113.80"
			delete(s.listed, "127.0.0.2")
			delete(s.listed, "::ffff:127.0.0.2")
		}, "rewritten answer", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newZoneServer()
				tt.change(s)
				f := start(t, s, nil)
				time.Sleep(time.Second)
				if z := f.Zones()[0]; z.IPv4 != tt.v4 || z.IPv6 != tt.v6 || !strings.Contains(z.Error, tt.want) || tt.want == "" && z.Error != "" {
					t.Errorf("%+v", z)
				}
				f.show("62.0.0.1")
				if n := len(f.take()); (n == 1) != tt.v4 {
					t.Errorf("%d hits", n)
				}
				s.mu.Lock()
				s.listed = newZoneServer().listed
				s.mu.Unlock()
				time.Sleep(11 * time.Minute)
				f.show("62.0.0.1")
				if n := len(f.take()); n != 1 {
					t.Errorf("%d hits of a zone that is well", n)
				}
			})
		})
	}
}

// TestZoneComesLate: a zone that cannot be reached at the start, as before the network is
// up, is asked soon; one that stays away is not asked all the time.
func TestZoneComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newZoneServer()
		s.fail = errors.New("network is unreachable")
		f := start(t, s, nil)
		time.Sleep(time.Second)
		if z := f.Zones()[0]; z.IPv4 || z.Error == "" {
			t.Errorf("%+v", z)
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(firstAgain)
		if z := f.Zones()[0]; !z.IPv4 || z.Error != "" {
			t.Errorf("the zone is back, and still %+v", z)
		}
		f.show("62.0.0.1")
		if n := len(f.take()); n != 1 {
			t.Errorf("%d hits", n)
		}
		s.mu.Lock()
		s.fail, s.queries = errors.New("network is unreachable"), nil
		s.mu.Unlock()
		time.Sleep(24 * time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.queries); n < 100 || n > 800 {
			t.Errorf("%d questions in a day to a zone that is away", n)
		}
	})
}

// TestCodes: answers mean what the zone says.
func TestCodes(t *testing.T) {
	a := netip.MustParseAddr
	z := Zone{Score: 40, Category: "x", Codes: []Code{
		{Answer: a("127.0.0.2"), Category: "spam", Score: 60}, {Answer: a("127.0.0.4"), Category: "c2", Score: 90},
		{Answer: a("127.0.0.9")}, {Answer: a("127.0.0.10"), Ignore: true, Score: 99},
	}}
	for _, tt := range []struct {
		answers []netip.Addr
		want    Code
		listed  bool
	}{
		{[]netip.Addr{a("127.0.0.2"), a("127.0.0.4")}, z.Codes[1], true},
		{[]netip.Addr{a("127.0.0.9")}, Code{Answer: a("127.0.0.9"), Category: "x", Score: 40}, true},
		{[]netip.Addr{a("127.0.0.10")}, Code{}, false},
		{[]netip.Addr{a("127.0.0.77")}, Code{}, false},
	} {
		code, listed := z.meaning(tt.answers)
		if listed != tt.listed || listed && z.code(code) != tt.want {
			t.Errorf("%v: code %d, %t", tt.answers, code, listed)
		}
	}
}

// TestRate: no more questions than allowed, whatever is handed over; what does not fit
// into the queue is counted and costs no time.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, newZoneServer(), func(c *Config) { c.Rate, c.Queue = 10, 50 })
		time.Sleep(time.Minute)
		synctest.Wait()
		begin, before := time.Now(), len(f.server.queries)
		for i := range 200 {
			a := netip.AddrFrom4([4]byte{62, 1, 0, byte(i)})
			f.asker.Ask(&flow.Record{Dst: a}, flow.SideDst, a, [2]netip.Addr{a}, begin)
		}
		if time.Since(begin) != 0 {
			t.Error("the worker was slowed down")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		at := f.server.at[before:]
		for i := 10; i < len(at); i++ {
			if gap := at[i].Sub(at[i-10]); gap < time.Second {
				t.Errorf("11 questions in %v", gap)
			}
		}
		if s := f.Stats(); s.Dropped == 0 || s.Asked+s.Dropped != 200 || s.Unlisted != s.Asked {
			t.Errorf("%+v", s)
		}
	})
}

// TestOneQuestion: an address that several workers show at once is asked for once, and
// each flow raises its hit.
func TestOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newZoneServer()
		f := start(t, s, nil)
		time.Sleep(time.Second)
		s.mu.Lock()
		s.slow = 3 * time.Second
		before := len(s.queries)
		s.mu.Unlock()
		a := netip.MustParseAddr("62.0.0.1")
		for range 5 {
			f.NewAsker().Ask(&flow.Record{Dst: a}, flow.SideDst, a, [2]netip.Addr{a}, time.Now())
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := len(s.queries) - before; n != 2 || len(f.take()) != 5 {
			t.Errorf("%d queries, want 2: A and TXT", n)
		}
	})
}

func TestAskDoesNotAllocate(t *testing.T) {
	cfg := DefaultConfig()
	c := New(cfg, nil)
	a := c.NewAsker()
	r := &flow.Record{}
	addr := netip.MustParseAddr("62.0.0.1")
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { now = now.Add(2 * time.Minute); a.Ask(r, flow.SideDst, addr, [2]netip.Addr{addr}, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	c.Stop()
}

func TestQueryName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99":                "99.2.0.192.bl.example.org.",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.org.",
		"::ffff:127.0.0.2":          "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example.org.",
	} {
		if got := queryName(netip.MustParseAddr(addr), "bl.example.org."); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

func TestCache(t *testing.T) {
	c := newCache(100)
	addr := func(i int) flow.Addr6 { return flow.Addr6{Lo: 0xffff<<32 | uint64(62<<24+i)} }
	for i := range 10_000 {
		c.put(addr(i), verdict{until: 3600}, 0)
		c.get(addr(0), 0) // in use
		if c.len() > 100 {
			t.Fatalf("%d verdicts", c.len())
		}
	}
	if _, ok := c.get(addr(0), 0); !ok {
		t.Error("what is in use was forgotten")
	}
	if _, ok := c.get(addr(9999), 7200); ok {
		t.Error("a verdict lives for ever")
	}
	if n := uint64(c.len()); c.evicted+n != 10_000 {
		t.Errorf("%d evicted and %d kept of 10,000", c.evicted, n)
	}
	for i := range 200 {
		c.put(addr(20_000+i), verdict{until: 8000}, 7200)
	}
	if c.evicted > 10_000+200-100 {
		t.Errorf("%d evicted: what has ended before counts too", c.evicted)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) {}, "<nil>"},
		{func(c *Config) { c.Zones = []Zone{{}} }, "zones[0].zone: required"},
		{func(c *Config) { c.Zones = []Zone{{Zone: "a..b"}} }, `zones[0].zone: "a..b" is no name`},
		{func(c *Config) { c.Zones = []Zone{{Zone: strings.Repeat("a", 200)}} }, "zones[0].zone: "},
		{func(c *Config) { c.Zones = []Zone{{Zone: "a.b"}, {Zone: "a.b."}} }, `zones[1].name: "a.b" is there twice`},
		{func(c *Config) { c.Zones = []Zone{{Zone: "a.b", Score: 101}} }, "zones[0].score: 101"},
		{func(c *Config) {
			c.Zones = []Zone{{Zone: "a.b", Codes: []Code{{Answer: netip.MustParseAddr("127.255.255.254")}}}}
		},
			"zones[0].codes[0].answer: 127.255.255.254; must be an address"},
		{func(c *Config) { c.Server = "localhost" }, `server: "localhost"; must be host:port`},
		{func(c *Config) { c.Rate = 0 }, "rate: 0 is outside 1 to 10000"},
		{func(c *Config) { c.Timeout = 0 }, "timeout: 0s is outside"},
		{func(c *Config) { c.MaxTTL = 0 }, "min_ttl: must be"},
		{func(c *Config) { c.NegativeTTL = 0 }, "negative_ttl: 0s"},
	} {
		c := DefaultConfig()
		tt.change(&c)
		if got := fmt.Sprint(c.Validate()); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
