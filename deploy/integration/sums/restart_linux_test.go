//go:build integration || soak

package sums

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// TestCleanRestart stops and starts the collector while everybody goes on sending: what
// was sent in between is known exactly, by version.
func TestCleanRestart(t *testing.T) {
	site := newSite(t, options{sockets: 2})
	c := site.start(t)
	f := newFleet(t, 2, site.target)
	f.begin(t, c)
	var total summary
	f.during(t, func() {
		time.Sleep(200 * time.Millisecond)
		total = c.stop(t)
		for range restarts {
			time.Sleep(50 * time.Millisecond)
			c = site.start(t)
			time.Sleep(200 * time.Millisecond)
			total.add(c.stop(t))
		}
	})
	for _, e := range f {
		e.send(t, unread) // surely lost
	}
	c = site.start(t)
	c.last(t, f)
	last := c.stop(t)
	if last.lostFlows == 0 || last.lostRecords == 0 || last.lostDatagrams == 0 {
		t.Errorf("nothing is told as lost before the last start: %+v", last)
	}
	total.add(last)
	f.compare(t, total)
	t.Logf("%d datagrams sent, %d received in %d lives", f.sent(), total.received, restarts+2)
}

// during lets everybody send while do runs.
func (f fleet) during(t *testing.T, do func()) {
	t.Helper()
	var end atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.each(func(e *exporter) {
			for !end.Load() {
				e.send(t, 2)
				time.Sleep(time.Millisecond)
			}
		})
	}()
	defer func() {
		end.Store(true)
		<-done
	}()
	do()
}

// last sends the last datagrams to a collector that has just been started, and waits
// until they are decoded.
func (c *collector) last(t *testing.T, f fleet) status {
	t.Helper()
	before := f.sent()
	for _, e := range f {
		e.send(t, 2)
	}
	return c.settle(t, f.sent()-before)
}

// compare adds up what was sent by version and compares it with the last words of all
// lives together.
func (f fleet) compare(t *testing.T, got summary) {
	t.Helper()
	flows := make(map[string]uint64)
	var datagrams uint64 // of the versions that count those
	for _, e := range f {
		flows[e.version.String()] += e.flows
		if e.version == flow.V9 || e.version == flow.SFlow {
			datagrams += e.sent + e.skipped
		}
	}
	for v, lost := range map[string]uint64{"v5": got.lostFlows, "ipfix": got.lostRecords + got.unsaid} {
		if got.records[v]+lost != flows[v] {
			t.Errorf("%s: sent %d flows, not %d decoded + %d lost", v, flows[v], got.records[v], lost)
		}
	}
	if n := got.datagrams["v9"] + got.datagrams["sflow"]; n+got.lostDatagrams != datagrams {
		t.Errorf("v9 and sflow: sent %d datagrams, not %d received + %d lost", datagrams, n, got.lostDatagrams)
	}
	unit := uint64(perDatagram[flow.V9])
	if n := got.records["v9"] + got.records["sflow"]; n+got.lostDatagrams*unit != flows["v9"]+flows["sflow"] {
		t.Errorf("v9 and sflow: sent %d flows, not %d decoded + %d datagrams lost x %d",
			flows["v9"]+flows["sflow"], n, got.lostDatagrams, unit)
	}
	if got.unknownSets != 0 {
		t.Errorf("%d sets without their template", got.unknownSets)
	}
}

// TestCrash kills the collector. What it had decoded since it last wrote down its
// numbers is not known any more: the gap is an estimate, and says so. A gap across a
// clean restart after that is exact again.
func TestCrash(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			crash(t, v)
		})
	}
}

func crash(t *testing.T, v flow.Version) {
	site := newSite(t, options{})
	l := &life{collector: site.start(t), exporter: newExporter(t, v, "127.0.0.40", site.target)}
	fleet{l.exporter}.begin(t, l.collector)
	l.eventually(t, "the exporter is on disk", func() bool { return site.saved(t, l.addr) })

	l.gap(t, (*collector).kill, true)
	l.gap(t, orderly, false)
	l.gap(t, (*collector).kill, true) // short after a clean start
	l.gap(t, (*collector).kill, true) // short after a crash
	l.gap(t, orderly, false)
}

func orderly(c *collector, t *testing.T) { c.stop(t) }

// saved tells whether the state file knows an exporter.
func (s *site) saved(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "templates"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(addr.String()))
}

// A life is one of a collector that an exporter sends to.
type life struct {
	*collector
	*exporter
	before uint64 // datagrams sent before it
}

const (
	read   = 40 // datagrams that a life decodes before its end
	unread = 25 // datagrams that are sent between two lives
)

// gap ends the life and begins the next one, and checks what that says of the time
// in between.
func (l *life) gap(t *testing.T, end func(*collector, *testing.T), estimate bool) {
	t.Helper()
	l.send(t, read)
	l.settle(t, l.sent-l.before)
	end(l.collector, t)
	l.send(t, unread)
	l.before = l.sent
	l.collector = l.site.start(t)
	st := l.last(t, fleet{l.exporter})

	s := l.find(t, st)
	lost := s.Lost
	if s.Unit != sequence.Datagrams {
		lost /= l.perDatagram()
	}
	switch {
	case !estimate && (lost != unread || s.Estimate != 0):
		t.Errorf("%d datagrams lost after a clean restart, of which %d %s are an estimate; want %d and none", lost, s.Estimate, s.Unit, unread)
	case estimate && (lost < unread || lost >= l.sent || s.Estimate != s.Lost):
		t.Errorf("%d datagrams lost after a crash, of which %d %s are an estimate; want at least %d and all", lost, s.Estimate, s.Unit, unread)
	}
	if text := l.text(t); strings.Contains(text, "estimate") != estimate {
		t.Errorf("the status for people says of the estimate, which is %v:\n%s", estimate, text)
	}
	if st.Decoded.UnknownSets != 0 || s.Resets != 0 {
		t.Errorf("after a restart %d sets are without template, %d resets", st.Decoded.UnknownSets, s.Resets)
	}
}

// text is the status as people see it.
func (c *collector) text(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(flowsnitch, "status", "-c", c.config).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
