package main

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// newSender prepares everything that is sent.
func (p *plan) newSender(now time.Time) (*sender, error) {
	s := &sender{plan: p, batch: make([]message, 0, p.batch+1)}
	s.sum = summary{Version: p.version, Exporters: p.exporters}
	// Whole seconds, and flows that end before them, are exact in every protocol.
	prepared := now.Truncate(time.Second)
	p.encoder.Boot = prepared.Add(-time.Hour)
	if err := s.prepare(prepared); err != nil {
		return nil, err
	}
	due := 0
	if len(s.templates[0].payload) == 0 {
		due = -1
	}
	for i, a := range p.addresses {
		cfg := p.encoder
		cfg.Agent, cfg.Order = a, p.process(i)
		enc, err := synth.NewEncoder(cfg)
		if err != nil {
			return nil, err
		}
		s.exporters = append(s.exporters, exporter{enc: enc, due: due})
	}
	var err error
	s.tx, s.clock, err = p.open(now)
	return s, err
}

// process gives the number of a session among those of its exporter.
func (p *plan) process(session int) int { return session % p.processes }

// prepare builds the rings and the template datagrams. The flows are the same in all
// rings, and so is the number of them in each datagram.
func (s *sender) prepare(now time.Time) error {
	p := s.plan
	flows, once := p.flows, p.count > 0 && p.count <= int64(p.flows)
	if once {
		flows = int(p.count)
	}
	for i := range p.processes {
		cfg := p.encoder
		cfg.Agent, cfg.Order = p.addresses[0], i
		enc, err := synth.NewEncoder(cfg)
		if err != nil {
			return err
		}
		src, err := noise.NewSource(p.source)
		if err != nil {
			return err
		}
		s.templates = append(s.templates, message{payload: enc.Templates(nil, now)})
		ring, err := buildRing(src, enc, flows, once, now)
		if err != nil {
			return err
		}
		s.rings = append(s.rings, ring)
	}
	for _, m := range s.rings[0] {
		s.sum.Distinct += m.flows
	}
	return nil
}

// open gives the way out and the clock that goes with it.
func (p *plan) open(now time.Time) (tx transmitter, c clock, err error) {
	switch {
	case p.pcap != "":
		tx, err = newFileTransmitter(p)
		return tx, &fileClock{now}, err
	case p.spoof != "":
		tx, err = newSpoofTransmitter(p)
	default:
		tx, err = newUDPTransmitter(p)
	}
	return tx, newWallClock(), err
}
