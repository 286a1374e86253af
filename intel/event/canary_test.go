package event

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// canaryRecord gives the record of a canary as a decoder would.
func canaryRecord(c Canary, received time.Time) flow.Record {
	code := c.Code()
	source, target := CanaryEnds()
	return flow.Record{
		Received: received, Has: flow.HasSrcPort | flow.HasDstPort, Src: source, Dst: target,
		Protocol: CanaryProtocol, Packets: CanaryPackets,
		InIf: uint32(code.InIf), OutIf: uint32(code.OutIf), SrcPort: code.SrcPort, DstPort: code.DstPort,
	}
}

// TestCanaryRoundTrip: time and token come back for any time of receipt within a day,
// also where the 48 bits run over.
func TestCanaryRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	over := time.UnixMicro(7 << 48)
	for i := range 10_000 {
		sent := time.UnixMicro(r.Int64N(1 << 52)).Add(48 * time.Hour)
		if i%2 == 0 {
			sent = over.Add(time.Duration(r.Int64N(int64(20*time.Second))) - 10*time.Second)
		}
		c := Canary{Sent: sent.Truncate(time.Microsecond), Token: uint16(r.Uint32())}
		late := time.Duration(r.Int64N(2*int64(canarySlack))) - canarySlack
		rec := canaryRecord(c, c.Sent.Add(late.Truncate(time.Microsecond)))
		got, ok := CanaryOf(&rec)
		if !ok || !got.Sent.Equal(c.Sent) || got.Token != c.Token {
			t.Fatalf("sent %v, received %v later: %v, %v", c, late, got, ok)
		}
	}
}

// TestCanaryShape: one thing that is otherwise, and it is no canary.
func TestCanaryShape(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	other := netip.MustParseAddr("203.0.113.9")
	for name, change := range map[string]func(*flow.Record){
		"source":       func(r *flow.Record) { r.Src = other },
		"target":       func(r *flow.Record) { r.Dst = other },
		"nat source":   func(r *flow.Record) { r.PostNATSrc = other },
		"nat target":   func(r *flow.Record) { r.PostNATDst = other },
		"inner source": func(r *flow.Record) { r.InnerSrc = other },
		"inner target": func(r *flow.Record) { r.InnerDst = other },
		"protocol":     func(r *flow.Record) { r.Protocol = 6 },
		"packets":      func(r *flow.Record) { r.Packets = 2 },
		"no ports":     func(r *flow.Record) { r.Has = flow.HasSrcPort },
		"interface":    func(r *flow.Record) { r.InIf |= 1 << 16 },
		"interface 2":  func(r *flow.Record) { r.OutIf |= 1 << 31 },
		"old":          func(r *flow.Record) { r.Received = now.Add(canarySlack + time.Millisecond) },
		"of tomorrow":  func(r *flow.Record) { r.Received = now.Add(-canarySlack - time.Millisecond) },
		"ages":         func(r *flow.Record) { r.Received = time.UnixMicro(now.UnixMicro() + 1<<47) },
		"ages ago":     func(r *flow.Record) { r.Received = time.UnixMicro(now.UnixMicro() - 1<<47) },
	} {
		rec := canaryRecord(Canary{Sent: now, Token: 1}, now)
		if _, ok := CanaryOf(&rec); !ok {
			t.Fatal("it should be a canary")
		}
		change(&rec)
		if c, ok := CanaryOf(&rec); ok {
			t.Errorf("%s: %v", name, c)
		}
	}
}
