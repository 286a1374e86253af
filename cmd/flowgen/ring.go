package main

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// A message is one prepared datagram.
type message struct {
	payload []byte
	flows   int
	hits    int // flows aimed at the hit list
}

// ringChunk is how many flows of a family are gathered before a datagram is
// filled from them: more than fit in one.
const ringChunk = 1024

// A ringBuilder fills datagrams with flows of one family each, as routers do that
// cache IPv4 and IPv6 apart.
type ringBuilder struct {
	enc     *synth.Encoder
	now     time.Time
	pending [2]gathered // by family
	ring    []message
}

type gathered struct {
	flows []synth.Flow
	hits  []bool
}

// buildRing prepares datagrams with n flows of the source. Without tails the rest
// of a family that fills no datagram is left out, unless it is all there is of it:
// then every datagram of a family is equally full.
func buildRing(src *noise.Source, enc *synth.Encoder, n int, tails bool, now time.Time) ([]message, error) {
	b := ringBuilder{enc: enc, now: now}
	for range n {
		f, hit := src.Next(now)
		g := &b.pending[0]
		if f.Src.Is6() {
			g = &b.pending[1]
		}
		g.flows, g.hits = append(g.flows, f), append(g.hits, hit)
		if len(g.flows) == ringChunk {
			if err := b.emit(g); err != nil {
				return nil, err
			}
		}
	}
	for i := range b.pending {
		if err := b.drain(&b.pending[i], tails); err != nil {
			return nil, err
		}
	}
	return b.ring, nil
}

// emit fills one datagram.
func (b *ringBuilder) emit(g *gathered) error {
	d, n, err := b.enc.Encode(nil, g.flows, b.now)
	if err != nil {
		return fmt.Errorf("preparing datagram %d: %w", len(b.ring), err)
	}
	m := message{payload: d, flows: n}
	for _, hit := range g.hits[:n] {
		if hit {
			m.hits++
		}
	}
	b.ring = append(b.ring, m)
	g.flows = append(g.flows[:0], g.flows[n:]...)
	g.hits = append(g.hits[:0], g.hits[n:]...)
	return nil
}

// drain fills datagrams with what is left.
func (b *ringBuilder) drain(g *gathered, tails bool) error {
	full := 0
	for len(g.flows) > 0 {
		if !tails && len(g.flows) < full {
			return nil
		}
		if err := b.emit(g); err != nil {
			return err
		}
		full = b.ring[len(b.ring)-1].flows
	}
	return nil
}
