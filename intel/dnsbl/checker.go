package dnsbl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

const (
	// goroutines is how many addresses are asked for at a time.
	goroutines = 8
	// checkEvery is how often the test points of a zone are asked for.
	checkEvery = 10 * time.Minute
	// firstAgain is when the test points of a zone that cannot be asked are asked for
	// again; the next time is twice as long away.
	firstAgain = 15 * time.Second
)

// A request is an address with the flow that has shown it.
type request struct {
	record flow.Record
	side   flow.Side
	addr   netip.Addr
	forms  [2]netip.Addr // to look up, see Asker.Ask
}

// Stats count since the start. Of the addresses handed over, all that are not waiting
// are in exactly one of Cached, Listed, Unlisted and Failed.
type Stats struct {
	Asked   uint64 `json:"asked" name:"dnsbl_asked_total" help:"Addresses taken for lookup: all outcomes but dropped." show:"always" words:"addresses"`                                                                                                 // handed over
	Dropped uint64 `json:"dropped" name:"dnsbl_addresses_total" help:"Addresses for DNS block lists, by outcome." with:"outcome=dropped" show:"always" words:"dropped (queue full)" loss:"true" check:"feeds" remedy:"raise dnsbl.rate or dnsbl.queue"` // not taken: the queue was full
	Cached  uint64 `json:"cached" name:"dnsbl_addresses_total" help:"Addresses for DNS block lists, by outcome." with:"outcome=cached" show:"always"`                                                                                                   // known from before
	Listed  uint64 `json:"listed" name:"dnsbl_addresses_total" help:"Addresses for DNS block lists, by outcome." with:"outcome=listed" show:"always"`
	// Unlisted are in no zone; Failed could not be asked for in any.
	Unlisted uint64 `json:"unlisted" name:"dnsbl_addresses_total" help:"Addresses for DNS block lists, by outcome." with:"outcome=unlisted"`
	Failed   uint64 `json:"failed" name:"dnsbl_addresses_total" help:"Addresses for DNS block lists, by outcome." with:"outcome=failed" show:"always"`
	Queries  uint64 `json:"queries" name:"dnsbl_queries_total" help:"Queries sent." show:"always"`                                          // sent
	Errors   uint64 `json:"errors" name:"dnsbl_errors_total" help:"Queries without a usable answer." show:"some" words:"without an answer"` // queries that gave no answer
	// Kept is the number of answers in the cache, Evicted counts those that left it
	// before their time because it was full.
	Kept    uint64 `json:"kept" name:"dnsbl_answers" help:"Answers in the cache." show:"always" words:"answers cached"`
	Evicted uint64 `json:"evicted" name:"dnsbl_evicted_total" help:"Answers evicted from the full cache before they expired." words:"evicted (cache full)" loss:"true" check:"feeds" remedy:"raise dnsbl.cache, or zones are queried again and again"`
}

// A ZoneStatus is whether the answers of a zone are used.
type ZoneStatus struct {
	Zone string `json:"zone" label:"zone"` // its name in the DNS
	// IPv4 and IPv6 report whether the test points of the family answer as RFC 5782, 5
	// requires; a zone is asked for no other.
	IPv4 bool `json:"ipv4" name:"dnsbl_zone_up" help:"1 while the test points of a zone answer as they should." with:"family=ipv4"`
	IPv6 bool `json:"ipv6" name:"dnsbl_zone_up" help:"1 while the test points of a zone answer as they should." with:"family=ipv6"`
	// Error is why one of them does not, or what its last query ended with.
	Error string `json:"error,omitempty" show:"some"`
}

// A Checker asks the zones. New is inert.
type Checker struct {
	cfg      Config
	found    func(lookup.Hit)
	exchange exchanger
	queue    chan request
	clean    *marks // addresses that no zone lists, for the askers
	start    time.Time

	asked, dropped, cached, listed, unlisted, failed, queries, errors atomic.Uint64

	mu      sync.Mutex
	cache   *cache
	pending map[netip.Addr][]request // further flows of addresses that are being asked for
	zones   []ZoneStatus
	next    time.Time // when the next query may leave

	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// New makes a checker of a valid configuration. found is given the hit of a flow with
// a listed address, by several goroutines.
func New(cfg Config, found func(lookup.Hit)) *Checker {
	c := &Checker{
		cfg: cfg, found: found, start: time.Now(),
		queue: make(chan request, cfg.Queue), clean: newMarks(cfg.Cache, cfg.NegativeTTL), cache: newCache(cfg.Cache),
		pending: make(map[netip.Addr][]request),
	}
	for _, z := range cfg.Zones {
		c.zones = append(c.zones, ZoneStatus{Zone: z.feed(), Error: "not checked yet"})
	}
	return c
}

// Start begins to ask. The zones are believed once their test points have answered.
func (c *Checker) Start() error {
	if c.exchange == nil {
		server := c.cfg.Server
		if server == "" {
			var err error
			if server, err = systemServer("/etc/resolv.conf"); err != nil {
				return fmt.Errorf("dnsbl: %w", err)
			}
		}
		c.exchange = resolver(server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	checked := make(chan struct{})
	c.wait.Go(func() { c.checkZones(ctx, checked) })
	for range goroutines {
		c.wait.Go(func() {
			select { // what waits until then is bounded by the queue
			case <-checked:
				c.run(ctx)
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// Stop ends all queries and waits. It may be called twice, and without Start.
func (c *Checker) Stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.wait.Wait()
}

// Stats gives the counters.
func (c *Checker) Stats() Stats {
	c.mu.Lock()
	kept, evicted := c.cache.len(), c.cache.evicted
	c.mu.Unlock()
	return Stats{
		Asked: c.asked.Load(), Dropped: c.dropped.Load(), Cached: c.cached.Load(), Listed: c.listed.Load(),
		Unlisted: c.unlisted.Load(), Failed: c.failed.Load(), Queries: c.queries.Load(), Errors: c.errors.Load(),
		Kept: uint64(kept), Evicted: evicted,
	}
}

// Zones gives the state of the zones in the order of the configuration.
func (c *Checker) Zones() []ZoneStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]ZoneStatus(nil), c.zones...)
}

// The test points of RFC 5782, 5.
var (
	listed4   = netip.MustParseAddr("127.0.0.2")
	unlisted4 = netip.MustParseAddr("127.0.0.1")
	listed6   = netip.MustParseAddr("::ffff:127.0.0.2")
	unlisted6 = netip.MustParseAddr("::ffff:127.0.0.1")
)

// checkZones asks for the test points at once and every ten minutes; those of zones that
// cannot be asked sooner at first, as the network may come later than we do.
func (c *Checker) checkZones(ctx context.Context, checked chan struct{}) {
	var passed time.Duration // since all zones were checked
	again := firstAgain
	for first := true; ; first = false {
		for i := range c.cfg.Zones {
			if passed == 0 || c.dead(i) {
				c.checkZone(ctx, i)
			}
		}
		if first {
			close(checked)
		}
		pause := checkEvery - passed
		if c.anyDead() && again < pause {
			pause = again
			again *= 2
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if passed += pause; passed >= checkEvery {
			passed = 0
		}
		if !c.anyDead() {
			again = firstAgain
		}
	}
}

// dead reports whether a zone is not asked at all.
func (c *Checker) dead(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.zones[i].IPv4 && !c.zones[i].IPv6
}

func (c *Checker) anyDead() bool {
	for i := range c.cfg.Zones {
		if c.dead(i) {
			return true
		}
	}
	return false
}

func (c *Checker) checkZone(ctx context.Context, i int) {
	z := &c.cfg.Zones[i]
	s := ZoneStatus{Zone: z.feed()}
	err4, err6 := c.checkFamily(ctx, z, listed4, unlisted4), c.checkFamily(ctx, z, listed6, unlisted6)
	s.IPv4, s.IPv6 = err4 == nil, err6 == nil
	if err4 != nil {
		s.Error = err4.Error()
	}
	c.mu.Lock()
	c.zones[i] = s
	c.mu.Unlock()
}

// checkFamily makes sure that a zone is alive and does not list the whole world.
func (c *Checker) checkFamily(ctx context.Context, z *Zone, listed, unlisted netip.Addr) error {
	a, err := c.ask(ctx, z, listed)
	if err == nil && len(a.codes) == 0 {
		err = fmt.Errorf("the test point %s is not listed", listed)
	}
	if err != nil {
		return err
	}
	if a, err = c.ask(ctx, z, unlisted); err == nil && len(a.codes) > 0 {
		err = fmt.Errorf("%s is listed, which must not be; the zone lists everything", unlisted)
	}
	return err
}

// run judges one address after the other.
func (c *Checker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.queue:
			c.judge(ctx, &r)
		}
	}
}

// judge finds the verdict on an address and raises the hit.
func (c *Checker) judge(ctx context.Context, r *request) {
	v, known := c.recall(r)
	if known {
		c.spread(r.addr, v)
		c.cached.Add(1)
		c.raise(v, r)
		return
	}
	if c.isPending(r) {
		return
	}
	v, ok := c.lookUp(ctx, r.forms)
	if !ok {
		c.failed.Add(1)
	}
	c.mu.Lock()
	waiting := c.pending[r.addr]
	delete(c.pending, r.addr)
	if ok {
		c.cache.put(flow.Addr6Of(r.addr), v, c.now())
	}
	c.mu.Unlock()
	if ok {
		c.spread(r.addr, v)
	}
	c.raise(v, r)
	for i := range waiting {
		c.raise(v, &waiting[i])
	}
}

func (c *Checker) recall(r *request) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache.get(flow.Addr6Of(r.addr), c.now())
}

// now is the time since the start, in seconds. It does not jump with the clock.
func (c *Checker) now() uint32 { return uint32(time.Since(c.start) / time.Second) }

// spread lets the askers know that no zone lists an address, so that they ask no more.
func (c *Checker) spread(a netip.Addr, v verdict) {
	if v.listings == "" {
		left := time.Duration(v.until)*time.Second - time.Since(c.start)
		c.clean.set(c.clean.hash(flow.Addr6Of(a)), unit(time.Now()), left)
	}
}

// maxWaiting is how many flows wait for the verdict on one address.
const maxWaiting = 100

// isPending reports whether somebody asks for the address already, and leaves the
// flow with him.
func (c *Checker) isPending(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, there := c.pending[r.addr]
	switch {
	case !there:
		c.pending[r.addr] = nil
		return false
	case len(waiting) < maxWaiting:
		c.pending[r.addr] = append(waiting, *r)
		c.cached.Add(1)
	default:
		c.dropped.Add(1)
	}
	return true
}

// raise gives the hit of a flow if the verdict is a listing.
func (c *Checker) raise(v verdict, r *request) {
	found, at := unpack(v.listings)
	if len(found) == 0 {
		return
	}
	list := make([]intel.Indicator, len(found))
	var in netip.Addr
	for i := range found {
		listed := r.addr
		if found[i].in.IsValid() {
			in, listed = found[i].in, found[i].in
		}
		list[i] = c.cfg.Zones[found[i].zone].indicator(listed, &found[i], at)
	}
	m := lookup.MatchOf("dnsbl "+at.UTC().Format(time.RFC3339), in, list)
	c.found(lookup.Hit{Record: &r.record, Offender: r.addr, Side: r.side, Match: m})
}

// lookUp looks the forms of an address up in all zones that can be believed. ok is false
// when none has answered.
func (c *Checker) lookUp(ctx context.Context, forms [2]netip.Addr) (v verdict, ok bool) {
	now := time.Now()
	ttl := c.cfg.NegativeTTL
	var found []listing
	for n, a := range forms {
		for i, s := range c.Zones() {
			if !a.IsValid() || a.Is4() && !s.IPv4 || a.Is6() && !s.IPv6 {
				continue
			}
			z := &c.cfg.Zones[i]
			said, err := c.ask(ctx, z, a)
			if err != nil {
				c.note(i, err)
				continue
			}
			ok = true
			if len(said.codes) == 0 {
				ttl = min(ttl, max(said.ttl, c.cfg.MinTTL))
				continue
			}
			life := min(max(said.ttl, c.cfg.MinTTL), c.cfg.MaxTTL)
			ttl = min(ttl, life)
			if code, listed := z.meaning(said.codes); listed {
				l := listing{zone: i, code: code, life: life, codes: said.codes, text: said.text}
				if n == 1 {
					l.in = a
				}
				found = append(found, l)
			}
		}
	}
	if !ok {
		return v, false
	}
	v = verdict{listings: pack(found, now), until: c.now() + uint32(ttl/time.Second)}
	if len(found) == 0 {
		c.unlisted.Add(1)
	} else {
		c.listed.Add(1)
	}
	return v, true
}

func (c *Checker) note(zone int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zones[zone].Error = err.Error()
}

// indicator makes the evidence of a listing that was found at a time.
func (z *Zone) indicator(a netip.Addr, l *listing, at time.Time) intel.Indicator {
	code := z.code(l.code)
	var names []string
	for _, c := range l.codes {
		names = append(names, c.String())
	}
	return intel.Indicator{
		Prefix: netip.PrefixFrom(a, a.BitLen()), Feed: z.feed(), Score: uint8(code.Score), Category: code.Category,
		Ref: linkIn(l.text), Description: l.text, NativeID: strings.Join(names, ","),
		LastSeen: at, Expires: at.Add(l.life),
	}
}

// commonCode is the index of what holds for all answers of a zone without codes.
const commonCode = -1

// code gives a code of the zone, complete.
func (z *Zone) code(i int) Code {
	common := Code{Score: cmp.Or(z.Score, defaultScore), Category: z.Category}
	if i == commonCode {
		return common
	}
	c := z.Codes[i]
	c.Score = cmp.Or(c.Score, common.Score)
	c.Category = cmp.Or(c.Category, common.Category)
	return c
}

// meaning gives the index of the worst code among the answers; false when they are no
// reason for a hit.
func (z *Zone) meaning(answers []netip.Addr) (worst int, listed bool) {
	worst = commonCode
	if len(z.Codes) == 0 {
		return worst, true
	}
	for i, c := range z.Codes {
		if c.Ignore || !slices.Contains(answers, c.Answer) {
			continue
		}
		if worst == commonCode || z.code(i).Score > z.code(worst).Score {
			worst = i
		}
	}
	return worst, worst != commonCode
}

// linkIn gives the first web link of a text.
func linkIn(text string) string {
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://") {
			return word
		}
	}
	return ""
}

// ask sends the question for one address in one zone, and for the text of a listing.
func (c *Checker) ask(ctx context.Context, z *Zone, a netip.Addr) (answer, error) {
	name := queryName(a, z.fqdn())
	m, err := c.query(ctx, name, dnsmessage.TypeA)
	if err != nil {
		return answer{}, err
	}
	said, err := parseA(m, name)
	if err != nil {
		c.errors.Add(1)
		return answer{}, fmt.Errorf("%s: %w", z.Zone, err)
	}
	if len(said.codes) > 0 {
		if m, err := c.query(ctx, name, dnsmessage.TypeTXT); err == nil { // a listing without words is one, too
			said.text = parseTXT(m, name)
		}
	}
	return said, nil
}

// query sends one question, as soon as the rate allows.
func (c *Checker) query(ctx context.Context, name string, kind dnsmessage.Type) (*dnsmessage.Message, error) {
	if err := c.pace(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	c.queries.Add(1)
	m, err := c.exchange(ctx, name, kind)
	if err != nil {
		c.errors.Add(1)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v", c.cfg.Timeout)
		}
	}
	return m, err
}

// pace waits for its turn.
func (c *Checker) pace(ctx context.Context) error {
	c.mu.Lock()
	now := time.Now()
	turn := c.next
	if turn.Before(now) {
		turn = now
	}
	c.next = turn.Add(time.Second / time.Duration(c.cfg.Rate))
	c.mu.Unlock()
	t := time.NewTimer(turn.Sub(now))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
