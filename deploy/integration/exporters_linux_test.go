//go:build integration

package integration

import (
	"net/netip"
	"testing"
	"time"
)

// Every exporter watches the same connections, and the hit log must tell of those
// with a listed address, rightly.
func TestExporters(t *testing.T) {
	for _, e := range exporters {
		t.Run(e.name, func(t *testing.T) { testExporter(t, &e) })
	}
}

func testExporter(t *testing.T, e *exporter) {
	inside, outside := newNamespace(t), newNamespace(t)
	connect(t, inside, outside, []string{home4, home6}, []string{listed4, unlisted4, listed6, unlisted6})
	collector := startCollector(t, inside, list)
	endExporter := e.run(t, inside)

	begin := time.Now()
	murmur(t, inside, outside)
	all := exchanges(home4, listed4, unlisted4)
	if e.ipv6 {
		all = append(all, exchanges(home6, listed6, unlisted6)...)
	}
	runAll(t, all, inside, outside)
	end := time.Now()

	// First what must come, while the exporter runs; at its end it gives everything away,
	// and then nothing may have come of what must not.
	for _, x := range all {
		if x.direction != "" {
			collector.waitFor(t, x)
		}
	}
	endExporter()
	collector.waitForRecords(t, e.records(len(all)))
	collector.finish(t)
	for _, ev := range collector.events(t) {
		if ev.Protocol == "ipv6-icmp" {
			continue // the listed address looks for its neighbour: rightly a hit
		}
		x, ok := find(all, &ev)
		if !ok || x.direction == "" {
			t.Errorf("%s of something else: %+v", ev.Kind, ev)
			continue
		}
		x.check(t, e, &ev)
		checkTimes(t, &ev, begin, end)
	}
}

// records gives the least number of flow records of so many connections.
func (e *exporter) records(connections int) uint64 {
	if e.biflow {
		return uint64(connections)
	}
	return 2 * uint64(connections)
}

// waitFor waits until the hit log tells of the connection and that it was answered.
func (c *collector) waitFor(t *testing.T, x exchange) {
	t.Helper()
	var hit, answered bool
	told := func() bool {
		for _, ev := range c.events(t) {
			if x.matches(&ev) {
				hit = hit || ev.Kind == "hit"
				answered = answered || ev.Flowsnitch.Answered == "yes"
			}
		}
		return hit && answered
	}
	if !c.eventually(hitTimeout, told) {
		s, err := c.status()
		t.Fatalf("%v: hit %t, answered %t after %v\nhit log: %+v\nstatus: %+v %v", x, hit, answered, hitTimeout, c.events(t), s, err)
	}
}

// waitForRecords waits until at least so many records are decoded, and checks that
// nothing was lost.
func (c *collector) waitForRecords(t *testing.T, least uint64) {
	t.Helper()
	var s status
	enough := func() bool {
		s, _ = c.status()
		return s.records() >= least
	}
	if !c.eventually(stepTimeout, enough) {
		t.Errorf("%d records decoded, want at least %d", s.records(), least)
	}
	s.check(t)
}

// find gives the connection that an event tells of.
func find(all []exchange, ev *event) (exchange, bool) {
	for _, x := range all {
		if x.matches(ev) {
			return x, true
		}
	}
	return exchange{}, false
}

// matches reports whether the event tells of this connection, in either direction.
func (x exchange) matches(ev *event) bool {
	src, dst := netip.AddrPortFrom(ev.SrcIP, ev.SrcPort), netip.AddrPortFrom(ev.DstIP, ev.DstPort)
	return ev.Protocol == x.network && (src == x.client && dst == x.server || src == x.server && dst == x.client)
}

// check compares an event with the connection that it tells of.
func (x exchange) check(t *testing.T, e *exporter, ev *event) {
	t.Helper()
	offender, local := x.server.Addr(), x.client.Addr()
	if x.direction == "inbound" {
		offender, local = local, offender
	}
	f := &ev.Flowsnitch
	if ev.Integration != "flowsnitch" || f.Feed == "" {
		t.Errorf("%v: integration %q, feed %q", x, ev.Integration, f.Feed)
	}
	if f.Offender != offender || f.Local != local {
		t.Errorf("%v: offender %v, local %v; want %v, %v", x, f.Offender, f.Local, offender, local)
	}
	if f.Direction != x.direction && !e.biflow {
		t.Errorf("%v: %s, want %s", x, f.Direction, x.direction)
	}
	if role := roleOf(ev, offender); f.Role != role {
		t.Errorf("%v: role %s, want %s", x, f.Role, role)
	}
	exporter := netip.MustParseAddrPort(e.to).Addr()
	if want := versionText[e.version]; f.Version != want || f.Exporter != exporter {
		t.Errorf("%v: version %q of exporter %v, want %q of %v", x, f.Version, f.Exporter, want, exporter)
	}
	x.checkBytes(t, e, ev)
}

func roleOf(ev *event, offender netip.Addr) string {
	if ev.SrcIP == offender {
		return "src"
	}
	return "dst"
}

// checkBytes compares the counters with what went over the connection: all of it, and
// not much more than headers beside it.
func (x exchange) checkBytes(t *testing.T, e *exporter, ev *event) {
	t.Helper()
	f := &ev.Flowsnitch
	forth, back := x.up, x.down
	if ev.SrcIP == x.server.Addr() {
		forth, back = back, forth
	}
	if !plausible(f.Bytes, forth) || f.Packets == 0 {
		t.Errorf("%v: %d bytes in %d packets, want %d and headers", x, f.Bytes, f.Packets, forth)
	}
	if e.biflow && !plausible(f.BytesBack, back) {
		t.Errorf("%v: %d bytes back, want %d and headers", x, f.BytesBack, back)
	}
}

// plausible allows for the headers of a few dozen packets.
func plausible(bytes uint64, payload int) bool {
	return bytes > uint64(payload) && bytes < uint64(payload)+3000
}

// checkTimes compares the times of the flow with the clock. NetFlow v5 exporters tell
// it in whole seconds, and some start their uptime in the middle of one.
func checkTimes(t *testing.T, ev *event, begin, end time.Time) {
	t.Helper()
	const slack = 2 * time.Second
	f := &ev.Flowsnitch
	if f.Clock != "ok" || f.Start.Before(begin.Add(-slack)) || f.End.After(end.Add(slack)) || f.End.Before(f.Start) {
		t.Errorf("from %v to %v, clock %s; the connection was between %v and %v", f.Start, f.End, f.Clock, begin, end)
	}
}

// versionText is what an event says of a version number of the export protocol.
var versionText = map[int]string{5: "5", 9: "9", 10: "ipfix"}
