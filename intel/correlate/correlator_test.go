package correlate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// The stage of most tests: our host, and a listed one with the score 90 of one feed.
var (
	us     = netip.MustParseAddr("10.0.0.5")
	bad    = netip.MustParseAddr("203.0.113.9")
	edge1  = netip.MustParseAddr("192.0.2.1")
	edge2  = netip.MustParseAddr("192.0.2.2")
	public = netip.MustParseAddr("198.51.100.7")
	t0     = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
)

func listedTable(t testing.TB, version string, listings ...intel.Indicator) *lookup.Table {
	t.Helper()
	b := lookup.NewBuilder(lookup.Policy{})
	for _, l := range listings {
		b.Add(l, lookup.OriginOperator)
	}
	table, _ := b.Build(version)
	return table
}

func c2(feed string, score uint8) intel.Indicator {
	return intel.Indicator{Prefix: netip.PrefixFrom(bad, 32), Feed: feed, Score: score, Category: "c2"}
}

// A stage is a correlator and what it has published.
type stage struct {
	*Correlator
	t      testing.TB
	table  *lookup.Table
	events []event.Event
	calls  int
}

func newStage(t testing.TB, change func(*Config)) *stage {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Sensor = "pi-oslo"
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, table: listedTable(t, "v1", c2("feodo", 90))}
	s.Correlator = New(cfg, func(batch []event.Event) {
		s.calls++
		s.events = append(s.events, batch...)
		clear(batch) // whoever keeps the slice will see it
	})
	return s
}

// at handles records at a time after t0, each as a hit of its first listed side.
func (s *stage) at(d time.Duration, records ...flow.Record) {
	s.t.Helper()
	var hits []lookup.Hit
	for _, r := range records {
		if r.Received.IsZero() {
			r.Received = t0.Add(d)
		}
		hits = append(hits, hitOf(s.t, s.table, r))
	}
	s.Handle(hits, t0.Add(d))
}

func hitOf(t testing.TB, table *lookup.Table, r flow.Record) lookup.Hit {
	t.Helper()
	for side := range flow.NumSides {
		if a, port := r.At(side); a.IsValid() {
			if m := table.Find(a, port); !m.Empty() {
				return lookup.Hit{Record: &r, Offender: a, Side: side, Match: m}
			}
		}
	}
	t.Fatalf("no listed address in %v", r)
	return lookup.Hit{}
}

// take gives the events since the last call.
func (s *stage) take() []event.Event {
	out := s.events
	s.events = nil
	return out
}

// one gives the only event since the last call.
func (s *stage) one(want event.Kind) event.Event {
	s.t.Helper()
	got := s.take()
	if len(got) != 1 || got[0].Kind != want {
		s.t.Fatalf("got %d events %v, want one %s", len(got), kinds(got), want)
	}
	return got[0]
}

func (s *stage) none() {
	s.t.Helper()
	if got := s.take(); len(got) != 0 {
		s.t.Fatalf("got %d events %v, want none", len(got), kinds(got))
	}
}

func kinds(events []event.Event) (k []event.Kind) {
	for _, e := range events {
		k = append(k, e.Kind)
	}
	return k
}

// tcp makes a record of one packet of 100 bytes, with the flags given.
func tcp(src netip.Addr, sport uint16, dst netip.Addr, dport uint16, flags uint16) flow.Record {
	r := ip(src, dst, flow.ProtocolTCP)
	r.Has |= flow.HasSrcPort | flow.HasDstPort | flow.HasTCPFlags
	r.SrcPort, r.DstPort, r.TCPFlags = sport, dport, flags
	return r
}

func udp(src netip.Addr, sport uint16, dst netip.Addr, dport uint16) flow.Record {
	r := ip(src, dst, flow.ProtocolUDP)
	r.Has |= flow.HasSrcPort | flow.HasDstPort
	r.SrcPort, r.DstPort = sport, dport
	return r
}

func ip(src, dst netip.Addr, protocol uint8) flow.Record {
	return flow.Record{
		Exporter: flow.Exporter{Addr: edge1, Version: flow.V9},
		Has:      flow.HasProtocol | flow.HasBytes | flow.HasPackets,
		Src:      src, Dst: dst, Protocol: protocol,
		Bytes: 100, Packets: 1, Rate: 1,
	}
}

func with(r flow.Record, change func(*flow.Record)) flow.Record {
	change(&r)
	return r
}

func seenBy(r flow.Record, exporter netip.Addr) flow.Record {
	r.Exporter.Addr = exporter
	return r
}

const (
	syn = 0x02
	ack = 0x10
)

// beacon is our host's connection to the listed one, answer the way back.
var (
	beacon = tcp(us, 51515, bad, 443, syn)
	answer = tcp(bad, 443, us, 51515, syn|ack)
	scan   = tcp(bad, 40000, us, 22, syn)
)

func TestFirstHit(t *testing.T) {
	s := newStage(t, func(c *Config) {
		c.Exporters = []sites.Exporter{{Name: "edge-1", Address: edge1}}
	})
	s.at(0, with(beacon, func(r *flow.Record) {
		r.Start, r.End = t0.Add(-time.Second), t0
		r.Exporter.Domain, r.InIf, r.OutIf = 7, 1, 2
		r.Has |= flow.HasInIf | flow.HasOutIf
	}))
	got := s.one(event.KindHit)
	if got.ID.Version() != 7 {
		t.Errorf("id %s is of version %d, want 7", got.ID, got.ID.Version())
	}
	if got.Contact.Version() != 7 || got.Contact == got.ID {
		t.Errorf("contact %s, want an id of its own of version 7", got.Contact)
	}
	want := event.Event{
		Kind: event.KindHit, ID: got.ID, Time: t0, Sensor: "pi-oslo", Contact: got.Contact, Seq: 1,
		ServicePort: 443, ContactFirstSeen: t0,
		Src: us, Dst: bad, SrcPort: 51515, DstPort: 443, HasPorts: true,
		Protocol: flow.ProtocolTCP, HasProtocol: true,
		Offender: bad, Local: us, Role: flow.SideDst,
		Direction: event.Outbound, Answered: event.AnsweredUnknown,
		Severity: event.High, Score: 72, Reason: "c2 listed by feodo (90); outbound",
		IntelVersion: "v1",
		Flows:        1, Packets: 1, Bytes: 100, PacketsRaw: 1, BytesRaw: 100,
		TCPFlags: syn, Sampling: 1, Start: t0.Add(-time.Second), End: t0, Clock: "ok",
		Exporter: edge1, ExporterName: "edge-1", Domain: 7, Version: flow.V9,
		InIf: 1, OutIf: 2, HasIf: true,
		CommunityID: event.CommunityID(us, bad, 51515, 443, flow.ProtocolTCP),
	}
	compareEvents(t, got, want)
	if len(got.Indicators) != 1 || got.Indicators[0].Feed != "feodo" {
		t.Errorf("indicators %v, want that of feodo", got.Indicators)
	}
}

// compareEvents compares all but the indicators.
func compareEvents(t *testing.T, got, want event.Event) {
	t.Helper()
	got.Indicators, want.Indicators = nil, nil
	if !slices.Equal(got.Exporters, want.Exporters) {
		t.Errorf("exporters %v, want %v", got.Exporters, want.Exporters)
	}
	got.Exporters, want.Exporters = nil, nil
	if g, w := eventText(got), eventText(want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestUpdateSchedule(t *testing.T) {
	s := newStage(t, nil)
	var sent []time.Duration
	for d := time.Duration(0); d <= 3*time.Hour; d += 10 * time.Second {
		s.at(d, scan) // before the tick of this time: it has news
		s.Tick(t0.Add(d))
		for range s.take() {
			sent = append(sent, d)
		}
	}
	want := []time.Duration{0, time.Minute, 5 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour}
	if !slices.Equal(sent, want) {
		t.Errorf("events at %v, want %v", sent, want)
	}
}

func TestUpdateOnlyWithNews(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan)
	s.one(event.KindHit)
	s.Tick(t0.Add(59 * time.Minute))
	s.none()
	s.Tick(t0.Add(time.Hour)) // idle: it ends, and has nothing to add
	s.none()
	if got := s.Stats(); got.Contacts != 0 || got.ContactsEnded != 1 {
		t.Errorf("stats %+v, want no contact and one ended", got)
	}
	s.at(2*time.Hour, scan)
	s.one(event.KindHit) // a new contact
}

func TestUpdateHasTotals(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, beacon)
	s.take()
	s.at(10*time.Second, with(tcp(us, 51516, bad, 443, syn), func(r *flow.Record) {
		r.Packets, r.Bytes = 9, 900
		r.Start, r.End = t0.Add(-time.Hour), t0.Add(9*time.Second)
	}))
	s.none()
	s.Tick(t0.Add(time.Minute))
	got := s.one(event.KindUpdate)
	if got.Flows != 2 || got.Packets != 10 || got.Bytes != 1000 || got.SrcPort != 51515 {
		t.Errorf("update %+v, want 2 flows, 10 packets, 1000 bytes of the first flow", got)
	}
	if got.Answered != event.AnsweredNo {
		t.Errorf("answered %s after one interval, want no", got.Answered)
	}
	if !got.Time.Equal(t0.Add(10*time.Second)) || !got.Start.Equal(t0.Add(-time.Hour)) || !got.End.Equal(t0.Add(9*time.Second)) {
		t.Errorf("time %v, start %v, end %v, want the last receipt and the whole span", got.Time, got.Start, got.End)
	}
}

func TestUpdateAtOnceWhenAnswered(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, beacon)
	s.take()
	s.at(time.Second, answer)
	got := s.one(event.KindUpdate)
	if got.Answered != event.AnsweredYes || got.Direction != event.Outbound || got.Severity != event.Critical {
		t.Errorf("update is %s, %s, %s, want answered, outbound, critical", got.Answered, got.Direction, got.Severity)
	}
	if got.Flows != 2 || got.PacketsBack != 1 || got.BytesBack != 100 {
		t.Errorf("update %+v, want 2 flows and one packet back", got)
	}
	s.Tick(t0.Add(time.Minute))
	s.none() // it has said all
}

func TestUpdateAtOnceWhenWorse(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan)
	if got := s.one(event.KindHit); got.Severity != event.Low {
		t.Fatalf("a scan is %s, want low", got.Severity)
	}
	// The same pair and port, but opened by us.
	s.at(time.Second, tcp(us, 51515, bad, 22, syn))
	got := s.one(event.KindUpdate)
	if got.Direction != event.Outbound || got.Severity <= event.Low {
		t.Errorf("update is %s, %s, want outbound and worse than low", got.Direction, got.Severity)
	}
	s.at(2*time.Second, scan) // cannot make it harmless again
	s.Tick(t0.Add(time.Minute))
	if got := s.one(event.KindUpdate); got.Direction != event.Outbound {
		t.Errorf("direction %s after another scan, want outbound", got.Direction)
	}
}

func TestSeverityDoesNotFlap(t *testing.T) {
	s := newStage(t, nil)
	weak := listedTable(t, "v2", c2("feodo", 40))
	strong := s.table
	s.at(0, beacon)
	s.take()
	for i := range 10 {
		s.table = []*lookup.Table{weak, strong}[i%2]
		s.at(time.Duration(i)*time.Second, beacon)
	}
	s.none() // it was told that bad before
}

func TestNewTableRaisesSeverity(t *testing.T) {
	s := newStage(t, nil)
	strong := s.table
	s.table = listedTable(t, "v0", c2("feodo", 50))
	s.at(0, beacon)
	if got := s.one(event.KindHit); got.Severity != event.Medium {
		t.Fatalf("severity %s, want medium", got.Severity)
	}
	s.table = strong
	s.at(time.Second, beacon)
	if got := s.one(event.KindUpdate); got.Severity != event.High || got.IntelVersion != "v1" {
		t.Fatalf("update is %s by %q, want high by v1", got.Severity, got.IntelVersion)
	}
	s.table = listedTable(t, "v2", c2("feodo", 90), c2("otx", 75), c2("ours", 60))
	s.at(2*time.Second, beacon)
	s.none() // (90 + 10) x 0.8 = 80 is high, as before
	s.Flush(t0.Add(2 * time.Second))
	if got := s.one(event.KindUpdate); got.Score != 80 || got.IntelVersion != "v2" || len(got.Indicators) != 3 {
		t.Errorf("update has score %d of %q with %d indicators, want 80 of v2 with 3", got.Score, got.IntelVersion, len(got.Indicators))
	}
}

func TestIdleEndSendsLastUpdate(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Idle = 10 * time.Minute })
	s.at(0, scan)
	s.at(6*time.Minute, scan) // next due at one hour
	s.take()
	s.Tick(t0.Add(16*time.Minute - 1))
	s.none()
	s.Tick(t0.Add(16 * time.Minute))
	if got := s.one(event.KindUpdate); got.Flows != 2 {
		t.Errorf("last update has %d flows, want 2", got.Flows)
	}
	s.Tick(t0.Add(3 * time.Hour))
	s.none()
}

func TestHandleWithoutTick(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan, scan)
	s.take()
	calls := s.calls
	s.at(2*time.Hour, scan)
	if got := s.take(); !slices.Equal(kinds(got), []event.Kind{event.KindUpdate, event.KindHit}) || s.calls != calls+1 {
		t.Errorf("got %v in %d batches, want the last update and a new hit in one", kinds(got), s.calls-calls)
	}
}

func TestEvictionAtTheCap(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxContacts = 2 })
	host := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, n}) }
	probe := func(n byte) flow.Record { return tcp(bad, 40000, host(n), 22, syn) }
	s.at(0, probe(1), probe(1), probe(2))
	s.at(time.Second, probe(1)) // now host 2 is the longest idle, and has no news
	s.take()
	s.at(2*time.Second, probe(3))
	if got := s.one(event.KindHit); got.Local != host(3) {
		t.Fatalf("hit of %s, want that of host 3", got.Local)
	}
	s.at(3*time.Second, probe(4))
	got := s.take()
	if !slices.Equal(kinds(got), []event.Kind{event.KindHit, event.KindUpdate}) || got[1].Local != host(1) || got[1].Flows != 3 || !got[1].Last {
		t.Fatalf("got %v, want a hit, then the last update of host 1 with 3 flows", kinds(got))
	}
	if st := s.Stats(); st.ContactsEvicted != 2 || st.EvictedBySeverity != [4]uint64{2} || st.Contacts != 2 {
		t.Errorf("stats %+v, want 2 evicted and 2 held", st)
	}
}

// TestEvictionStartsWithTheLeastSevere: the longest idle contact of the lowest severity
// makes room, never a worse one; newcomers that are less severe than all share one contact.
func TestEvictionStartsWithTheLeastSevere(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxContacts = 3 })
	critical := func(port uint16) []flow.Record {
		return []flow.Record{tcp(us, 40000, bad, port, syn), tcp(bad, port, us, 40000, syn|ack)}
	}
	low := func(port uint16) flow.Record { return tcp(bad, 40000, us, port, syn) }
	held := func() (ports []uint16) {
		for _, r := range s.contacts.ranks[:numRanks] {
			for c := r.first; c != nil; c = c.next {
				ports = append(ports, c.packed.port)
			}
		}
		return ports
	}
	for i, step := range []struct {
		flows []flow.Record
		held  []uint16
	}{
		{critical(1001), []uint16{1001}},
		{[]flow.Record{low(22), tcp(public, 1, bad, 80, syn)}, []uint16{22, 80, 1001}}, // low, medium, critical
		{[]flow.Record{low(23)}, []uint16{23, 80, 1001}},
		{critical(1002), []uint16{80, 1001, 1002}},
		{[]flow.Record{low(24)}, []uint16{80, 1001, 1002}}, // finds no room
		{critical(1003), []uint16{1001, 1002, 1003}},
		{critical(1001), []uint16{1002, 1003, 1001}},
		{critical(1004), []uint16{1003, 1001, 1004}},
		{[]flow.Record{low(25), low(25)}, []uint16{1003, 1001, 1004}},
	} {
		s.at(time.Duration(i)*time.Second, step.flows...)
		if got := held(); !slices.Equal(got, step.held) {
			t.Errorf("step %d: contacts at ports %v are held, want %v", i, got, step.held)
		}
	}
	hits := 0
	for _, e := range s.take() {
		if e.Kind == event.KindHit && e.ServicePort < 1000 {
			hits++
		}
	}
	if st := s.Stats(); hits != 4 || st.CrowdedOut != 4 || st.EvictedBySeverity != [4]uint64{2, 1, 0, 1} || st.ContactsEvicted != 4 {
		t.Errorf("%d first hits of the less severe contacts, want 4; stats %+v", hits, st)
	}
}

func TestFlush(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan, scan, beacon)
	s.take()
	s.Flush(t0.Add(time.Second))
	s.one(event.KindUpdate)
	if st := s.Stats(); st.Contacts != 0 || st.Hits != 3 || st.HitEvents != 2 || st.UpdateEvents != 1 || allOf(st.Severities) != 2 {
		t.Errorf("stats %+v, want no contacts, 3 hits, 2 first hits, 1 update", st)
	}
	s.Flush(t0.Add(time.Second))
	s.none()
}

func TestBackwardsTime(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan)
	s.at(30*time.Second, scan)
	s.at(29*time.Second, scan)
	s.take()
	s.Tick(t0.Add(60 * time.Second))
	if got := s.one(event.KindUpdate); got.Flows != 3 {
		t.Errorf("%d flows, want 3", got.Flows)
	}
	s.at(-100*24*time.Hour, scan) // another capture
	s.none()
	s.Tick(t0.Add(-100*24*time.Hour + 4*time.Minute))
	if got := s.one(event.KindUpdate); got.Flows != 4 {
		t.Errorf("%d flows, want 4", got.Flows)
	}
	s.Tick(time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC))
	s.Tick(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
	s.Tick(time.Time{})
	s.none()
	if st := s.Stats(); st.Contacts != 0 || st.Flows != 0 {
		t.Errorf("stats %+v, want nothing left", st)
	}
}

func TestJitterDoesNotSpeedUpTime(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, scan)
	s.take()
	for i := range 1000 {
		s.at(time.Duration(1+i%2)*20*time.Second, scan)
	}
	s.none() // 40 seconds, whatever the order
}

func TestEveryHit(t *testing.T) {
	s := newStage(t, func(c *Config) { c.EveryHit = true })
	s.at(0, beacon, answer, with(beacon, func(r *flow.Record) { r.Packets = 5 }))
	got := s.take()
	if len(got) != 3 {
		t.Fatalf("%d events, want 3", len(got))
	}
	for i, want := range []struct {
		answered event.Answered
		packets  uint64
		role     flow.Side
	}{
		{event.AnsweredUnknown, 1, flow.SideDst},
		{event.AnsweredYes, 1, flow.SideSrc},
		{event.AnsweredYes, 5, flow.SideDst},
	} {
		e := got[i]
		if e.Kind != event.KindHit || e.Direction != event.Outbound || e.Flows != 1 || e.Answered != want.answered ||
			e.Packets != want.packets || e.Role != want.role {
			t.Errorf("event %d is %s, %s, %s, %d flows, %d packets, %s, want %+v", i, e.Kind, e.Direction, e.Answered, e.Flows, e.Packets, e.Role, want)
		}
	}
	s.Tick(t0.Add(10 * time.Minute))
	s.Flush(t0.Add(20 * time.Minute))
	s.none()
}

func TestEveryHitBlockedIsItsOwn(t *testing.T) {
	s := newStage(t, func(c *Config) { c.EveryHit = true })
	s.at(0, scan, with(scan, func(r *flow.Record) { r.Has |= flow.HasForwarding; r.Forwarding = 0x80 }))
	got := s.take()
	if got[0].Blocked || !got[1].Blocked || got[1].Score >= got[0].Score {
		t.Errorf("blocked %v score %d, then %v %d; want the second one blocked and harmless", got[0].Blocked, got[0].Score, got[1].Blocked, got[1].Score)
	}
}

func TestManyUpdatesComeInBatches(t *testing.T) {
	s := newStage(t, nil)
	for i := range maxBatch + 10 {
		r := tcp(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 40000, bad, 22, syn)
		s.at(0, r, r)
	}
	s.take()
	s.calls = 0
	s.Tick(t0.Add(time.Minute))
	if got := len(s.take()); got != maxBatch+10 || s.calls != 2 {
		t.Errorf("%d updates in %d batches, want %d in 2", got, s.calls, maxBatch+10)
	}
}

// TestEveryHitHasItsOwnListing: an entry that counts at one port is told with the
// hits at that port only.
func TestEveryHitHasItsOwnListing(t *testing.T) {
	s := newStage(t, func(c *Config) { c.EveryHit = true })
	atPort := c2("feodo", 90)
	atPort.Port = 8080
	s.table = listedTable(t, "v1", c2("otx", 40), atPort)
	s.at(0, tcp(bad, 40000, us, 22, syn), tcp(bad, 8080, us, 22, syn), tcp(bad, 40000, us, 22, syn))
	want := []int{1, 2, 1}
	for i, e := range s.take() {
		if len(e.Indicators) != want[i] {
			t.Errorf("hit %d has %d indicators, want %d", i, len(e.Indicators), want[i])
		}
	}
}

// allOf adds up the hit events of all severities.
func allOf(severities [4]uint64) (n uint64) {
	for _, s := range severities {
		n += s
	}
	return n
}
