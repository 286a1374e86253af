//go:build integration || soak

package sums

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestTemplateOnce kills the collector in the middle of a v9 stream whose template is
// sent only once, a few seconds after it: after the restart no data set is without its
// template, and no record after it is lost.
func TestTemplateOnce(t *testing.T) {
	t.Parallel()
	site := newSite(t, options{})
	c := site.start(t)
	g := site.generate(t, "--version", "v9", "--once-template", "--rate", "2600", "--flows", "2600", "--duration", "10s")
	c.eventually(t, "the template is on disk", func() bool { return site.saved(t, netip.MustParseAddr("127.0.0.1")) })
	before, err := c.ask()
	if err != nil {
		t.Fatal(err)
	}
	c.kill(t)
	c = site.start(t)
	sent := g.wait(t)

	received := uint64(0)
	c.eventually(t, "nothing comes any more", func() bool {
		st, err := c.ask()
		n := received
		received = st.decoded()
		return err == nil && received > 0 && received == n
	})
	st, err := c.ask()
	if err != nil {
		t.Fatal(err)
	}
	v9 := st.Decoded.Versions["v9"]
	if st.Decoded.UnknownSets != 0 || v9.Records != v9.Datagrams*26 || st.Decoded.Templates != 0 {
		t.Errorf("after the restart %d sets without template, %d records in %d datagrams, %d templates came; want 0, 26 in each, 0",
			st.Decoded.UnknownSets, v9.Records, v9.Datagrams, st.Decoded.Templates)
	}
	// What came between the last question and the end was read, or lost with the process.
	if s := st.Exporters.List[0].Streams[0]; s.Estimate != s.Lost || before.decoded()+received > sent.Datagrams {
		t.Errorf("%d datagrams sent, %d and %d received, lost %+v", sent.Datagrams, before.decoded(), received, s.Status)
	}
	c.stop(t)
	t.Logf("%d datagrams sent, %d received before the end and %d after the restart", sent.Datagrams, before.decoded(), received)
}

// TestTemplateLate sends data ahead of its template. What waits for it is in a counter
// until then and is read after that; without a template it is counted as unsaid (IPFIX),
// in sets (both).
func TestTemplateLate(t *testing.T) {
	for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
		for _, comes := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/comes=%v", v, comes), func(t *testing.T) { late(t, v, comes) })
		}
	}
}

// early is the number of data sets ahead of the template; each datagram has one.
const early = 50

func late(t *testing.T, v flow.Version, comes bool) {
	site := newSite(t, options{})
	c := site.start(t)
	e := newExporter(t, v, "127.0.0.60", site.target)
	e.send(t, early)
	e.skip(3) // lost on the way: not to be told from what has no template, in IPFIX
	e.send(t, early)
	if comes {
		e.announce(t)
		e.skip(2)
		e.send(t, early)
	}
	st := c.settle(t, e.sent)
	waiting := uint64(2 * early)
	unread := waiting // data sets
	if got := st.Decoded.UnknownSets; got != waiting {
		t.Errorf("%d sets came ahead of their template, want %d", got, waiting)
	}
	x := st.Exporters.Early
	if x.Kept != waiting || x.Full != 0 {
		t.Errorf("%d sets wait, %d found no room; want %d, 0", x.Kept, x.Full, waiting)
	}
	if comes {
		unread = 0
	}
	if x.Replayed != waiting-unread || x.Records != (waiting-unread)*e.perDatagram() {
		t.Errorf("%d sets with %d records read later, want %d", x.Replayed, x.Records, waiting-unread)
	}
	s := e.find(t, st)
	got := s.Records
	switch {
	case v == flow.V9:
		got += (s.Lost + unread) * e.perDatagram()
	case comes:
		got += s.Lost + s.Undecoded - x.Records
	default: // the number of the last datagram tells nothing of what is in it
		got += s.Lost + s.Undecoded + e.perDatagram()
	}
	if got != e.flows {
		t.Errorf("sent %d flows, %d are counted: %+v, early %+v", e.flows, got, s, x)
	}
}
