package main

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/synth"
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
	if len(s.templates.payload) == 0 {
		due = -1
	}
	for _, a := range p.addresses {
		cfg := p.encoder
		cfg.Agent = a
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

// prepare builds the ring and the template datagram.
func (s *sender) prepare(now time.Time) error {
	p := s.plan
	cfg := p.encoder
	cfg.Agent = p.addresses[0]
	enc, err := synth.NewEncoder(cfg)
	if err != nil {
		return err
	}
	src, err := synth.NewSource(p.source)
	if err != nil {
		return err
	}
	flows, once := p.flows, p.count > 0 && p.count <= int64(p.flows)
	if once {
		flows = int(p.count)
	}
	s.templates.payload = enc.Templates(nil, now)
	if s.ring, err = buildRing(src, enc, flows, once, now); err != nil {
		return err
	}
	for _, m := range s.ring {
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
