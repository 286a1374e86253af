package collect_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A script is a source of so many reads of so many datagrams.
type script struct {
	payload []byte
	reads   []int
}

func (s *script) Read(batch []flow.Datagram) (int, error) {
	if len(s.reads) == 0 {
		return 0, net.ErrClosed
	}
	n := s.reads[0]
	s.reads = s.reads[1:]
	for i := range n {
		batch[i] = flow.Datagram{Payload: s.payload, Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Unix(1_800_000_000, 0)}
	}
	return n, nil
}

// A tap notes its calls in a log that others share.
type tap struct {
	name string
	log  *[]string
}

func (p *tap) Records(s *decode.Set) { *p.log = append(*p.log, fmt.Sprintf("%s %d", p.name, s.Len())) }

type flusher struct{ tap }

func (f *flusher) Flush() { *f.log = append(*f.log, f.name+" flush") }

// TestTaps: each set goes to all taps in their order, and those that keep something back
// are flushed after each read, one without datagrams too, and before the end.
func TestTaps(t *testing.T) {
	e, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	f := synth.Flow{Src: netip.MustParseAddr("192.0.2.2"), Dst: netip.MustParseAddr("192.0.2.3"), Packets: 1, Bytes: 40, Start: now, End: now}
	payload, _, err := e.Encode(nil, []synth.Flow{f, f}, now)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	w := collect.NewWorker(&script{payload, []int{2, 0, 1}}, decode.NewExporters(decode.DefaultLimits()), 8,
		&tap{"a", &log}, &flusher{tap{"b", &log}}, &tap{"c", &log})
	w.Start()
	w.Wait()
	want := []string{"a 2", "b 2", "c 2", "a 2", "b 2", "c 2", "b flush", "b flush", "a 2", "b 2", "c 2", "b flush", "b flush"}
	if !slices.Equal(log, want) {
		t.Errorf("got  %q\nwant %q", log, want)
	}
	if n := w.Decoded().V5.Records; n != 6 {
		t.Errorf("%d records", n)
	}
	if time.Since(w.Beat()) > 10*time.Second {
		t.Errorf("the last turn was at %v", w.Beat())
	}
}
