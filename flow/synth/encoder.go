package synth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// ErrNotExpressible is the error of a flow that the protocol has no way to express:
// an IPv6 flow in v5, a counter too large for its field. It is wrapped with what
// and why.
var ErrNotExpressible = errors.New("not expressible")

// An Encoder writes the datagrams of one exporter, one after the other: it holds
// the sequence number. It is not safe for concurrent use.
type Encoder struct {
	cfg Config
	// layouts are the templates, by the bits of their ids.
	layouts []layout
	boot    int64 // Unix ms at which sysUptime is 0
	// booted reports whether boot is known.
	booted bool

	// seq is the sequence number of the next datagram, in the unit of the
	// protocol: v5 flows, v9 datagrams, IPFIX data records, sFlow datagrams.
	seq uint32
	// samples and pool are the sFlow counters of the one data source: samples
	// taken so far and packets they were taken from.
	samples, pool uint32
}

// NewEncoder makes an encoder whose sequence numbers start at 0.
func NewEncoder(cfg Config) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg.withDefaults(), layouts: layoutsOf(cfg), boot: cfg.Boot.UnixMilli(), booted: !cfg.Boot.IsZero()}
	probe := *e
	if n := len(probe.Templates(nil, time.Unix(0, 0))); n > e.cfg.MaxPayload {
		return nil, fmt.Errorf("synth: templates and sampling rates take %d bytes, a datagram holds %d", n, e.cfg.MaxPayload)
	}
	return e, nil
}

// Sequence gives the sequence number that the next datagram will carry: the
// count, so far, of what the protocol counts.
func (e *Encoder) Sequence() uint32 { return e.seq }

// Templates appends a datagram with everything that a collector must know before
// it can read what Encode writes: templates and, with Config.Sampling set, the
// options template and data that announce the sampling rate. v5 and sFlow need none:
// dst is returned as it was.
func (e *Encoder) Templates(dst []byte, now time.Time) []byte {
	switch e.cfg.Version {
	case flow.V9:
		return e.appendV9Templates(dst, e.clock(now))
	case flow.IPFIX:
		return e.appendIPFIXTemplates(dst, e.clock(now))
	}
	return dst
}

// Encode appends one datagram with the first n of flows, in their order, n being
// as many as fit; call it again with flows[n:] for the rest. Without flows nothing
// is written.
//
// A flow that the protocol cannot express ends the datagram before it. When it is
// the first one, nothing is written and the error wraps [ErrNotExpressible].
func (e *Encoder) Encode(dst []byte, flows []Flow, now time.Time) (out []byte, n int, err error) {
	if len(flows) == 0 {
		return dst, 0, nil
	}
	c := e.clock(now)
	switch e.cfg.Version {
	case flow.V5:
		out, n, err = e.appendV5(dst, flows, c)
	case flow.V9:
		out, n, err = e.appendV9(dst, flows, c)
	case flow.IPFIX:
		out, n, err = e.appendIPFIX(dst, flows, c)
	default:
		out, n, err = e.appendSFlow(dst, flows, c)
	}
	if n == 0 {
		return dst, 0, err
	}
	return out, n, nil
}

// EncodeAlone appends one datagram that can be read without any other: what Templates
// writes, less the sampling, stands in front of the flows. All flows must fit, else
// nothing is written and the error has it; so do those of Encode.
func (e *Encoder) EncodeAlone(dst []byte, flows []Flow, now time.Time) ([]byte, error) {
	one := *e
	out, n, err := one.Encode(dst, flows, now)
	if err == nil && n < len(flows) {
		err = fmt.Errorf("synth: %d flows do not fit into one datagram, %d do", len(flows), n)
	}
	if err != nil {
		return dst, err
	}
	*e = one
	return e.putTemplates(out, len(dst)), nil
}

// putTemplates puts the templates between the header and the sets of the datagram
// that begins at b[at:].
func (e *Encoder) putTemplates(b []byte, at int) []byte {
	switch e.cfg.Version {
	case flow.V9:
		b = slices.Insert(b, at+v9HeaderLen, e.appendTemplateSet(nil, v9TemplateSet)...)
		records := binary.BigEndian.Uint16(b[at+2:])
		binary.BigEndian.PutUint16(b[at+2:], records+uint16(len(e.layouts)))
	case flow.IPFIX:
		b = slices.Insert(b, at+ipfixHeaderLen, e.appendTemplateSet(nil, ipfixTemplateSet)...)
		binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	}
	return b
}

// clock fixes the times of one datagram. The exporter's boot time is fixed by the
// first one when the config has none.
func (e *Encoder) clock(now time.Time) clock {
	if !e.booted {
		e.boot, e.booted = now.Add(-bootAge).UnixMilli(), true
	}
	return clock{now: now.UnixMilli(), boot: e.boot}
}

// checkEnds reports whether the addresses make a flow at all.
func (f *Flow) checkEnds() error {
	if !f.Src.IsValid() || !f.Dst.IsValid() || f.Src.Is4() != f.Dst.Is4() {
		return fmt.Errorf("synth: flow %s -> %s: both ends must be valid and of one family: %w", f.Src, f.Dst, ErrNotExpressible)
	}
	return nil
}
