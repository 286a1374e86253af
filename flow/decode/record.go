package decode

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// recordTemplate fills r from the i-th record of a v9 or IPFIX set.
func (s *Set) recordTemplate(i int, r *flow.Record) {
	s.seek(i)
	s.fields.Fill(r)
	s.rate(r)
	s.fromSection(r)
}

// rate finds the sampling rate: what the record has itself, else what its
// sampler was announced with, in its own domain or in another of the exporter, until the
// end of the datagram that the record came in.
func (s *Set) rate(r *flow.Record) {
	r.Rate = 1
	if rate, ok := s.fields.Sampled(); ok {
		r.Sampling, r.Has = rate, r.Has|flow.HasSampling
		if r.Rate = rate; rate != 0 {
			return
		}
		s.tally.count(reasonSampling)
	}
	if s.stream == nil {
		return
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if s.stream.samplers.Empty() && s.from.samplers.Empty() {
		return
	}
	if rate, from, ok := sampling.Find(&s.stream.samplers, &s.from.samplers, s.fields.Metered(r)); ok {
		r.Rate, r.RateFrom = rate, from
	}
}

// initTime gives the time when the exporter started, ms since 1970, as options data
// announced it: for the domain of the record; for domain 0, which stands for the whole of
// the exporting process (RFC 7011 3.1); or for any other domain, as there is only one
// such time of a device. It is 0 when it is not known.
func (s *Set) initTime() int64 {
	if s.stream == nil {
		return 0
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if s.stream.init != 0 {
		return s.stream.init
	}
	key := s.stream.key
	key.domain = 0
	if whole := s.from.streams[key]; whole != nil && whole.init != 0 {
		return whole.init
	}
	if s.from.split {
		return 0 // of whichever process
	}
	return s.from.init
}

// fromSection fills in what a frame section has and the fields do not.
func (s *Set) fromSection(r *flow.Record) {
	for k := range s.runs[s.current].plan.Sections {
		ie, p := s.fields.Section(k)
		if !p.Any() {
			continue
		}
		if template.Empty(r.Src) && template.Empty(r.Dst) {
			r.FromSection = ie
			p.Fill(r)
		}
		if p.CutForeign(s.shared.ours); p.Tunnelled() && template.Empty(r.InnerSrc) && template.Empty(r.InnerDst) {
			p.FillInner(r)
		}
	}
}
