package decode

import (
	"math"
	"slices"
)

// samplers are the sampling rates that an exporter announced in options data: by sampler
// id and by scope, and the one that it announced for everything.
type samplers struct {
	byKey  map[samplerKey]announced
	shapes []shape // of the keys, the most specific first
	// all is the rate announced without a sampler id or a scope; known tells whether
	// there was one. A known rate of 0 is an absurd one.
	all   uint32
	known bool
	// doubts are rates that are not believed yet, see credit.
	doubts map[samplerKey]doubt
}

// A samplerKey is what a rate was announced for: a scope, a sampler id. The zero value
// stands for everything.
type samplerKey struct {
	scope scope
	id    uint64
	hasID bool
}

// An announced rate names what it was announced for.
type announced struct {
	rate uint32
	from *string
}

// A doubt is a rate that was announced once. datagram is the number of the exporter's
// datagram that it came in.
type doubt struct {
	rate     uint32
	datagram uint64
}

const (
	// maxRate is the highest sampling rate that is believed.
	maxRate = 10_000_000
	// maxFactor is how far, up or down, one datagram alone may take a sampling rate:
	// its source may be forged.
	maxFactor = 10
)

// own gives the rate of a key itself.
func (s *samplers) own(key samplerKey) (rate uint32, ok bool) {
	if key == (samplerKey{}) {
		return s.all, s.known
	}
	a, ok := s.byKey[key]
	return a.rate, ok
}

// credit reports whether an announced rate is to be believed. The first one for a
// sampler is while its exporter has not sent any flow yet, and one within maxFactor of those in
// force; without any that is 1. Another one, an absurd one of 0 too, is believed
// when a later datagram announces it again.
func (s *samplers) credit(key samplerKey, rate uint32, datagram uint64, fresh bool) bool {
	low, high := s.inForce(key)
	if _, own := s.own(key); fresh && !own {
		return true
	}
	low, high = max(low, 1), max(high, 1)
	if d, ok := s.doubts[key]; ok && d.rate == rate && d.datagram != datagram ||
		rate != 0 && uint64(rate) <= maxFactor*uint64(high) && uint64(rate)*maxFactor >= uint64(low) {
		delete(s.doubts, key)
		return true
	}
	if s.doubts == nil {
		s.doubts = make(map[samplerKey]doubt)
	}
	s.doubts[key] = doubt{rate, datagram}
	return false
}

// forgetDoubt makes room for a sampler. It reports whether there was a doubt.
func (s *samplers) forgetDoubt() bool {
	for key := range s.doubts {
		delete(s.doubts, key)
		return true
	}
	return false
}

// inForce gives the least and the highest rate that a key may have now: its own,
// else those of all others. Both are 0 when there is none.
func (s *samplers) inForce(key samplerKey) (low, high uint32) {
	everything := key == (samplerKey{})
	if a, ok := s.byKey[key]; ok {
		return a.rate, a.rate
	}
	if s.known && s.all != 0 {
		low, high = s.all, s.all
		if everything {
			return low, high
		}
	}
	for _, a := range s.byKey {
		if a.rate != 0 && (low == 0 || a.rate < low) {
			low = a.rate
		}
		high = max(high, a.rate)
	}
	return low, high
}

// set notes an announcement that is believed. It reports whether anything is new.
func (s *samplers) set(key samplerKey, rate uint32) (changed bool) {
	if key == (samplerKey{}) {
		changed = !s.known || s.all != rate
		s.all, s.known = rate, true
		return changed
	}
	if s.byKey == nil {
		s.byKey = make(map[samplerKey]announced)
	}
	a, have := s.byKey[key]
	if !have {
		from := key.String()
		a.from = &from
		if sh := key.shape(); !slices.Contains(s.shapes, sh) {
			s.shapes = append(s.shapes, sh)
			slices.SortFunc(s.shapes, func(a, b shape) int { return int(b) - int(a) })
		}
	}
	changed = !have || a.rate != rate
	a.rate = rate
	s.byKey[key] = a
	return changed
}

// A found rate is the answer of samplers for a record. sure tells that it was announced
// for the record, or for everything; it is 0 and unsure when all that was announced is
// for others. shape is the weight of it.
type found struct {
	rate  uint32
	from  *string
	shape shape
	ok    bool
	sure  bool
}

// rate finds the rate of a record: the one announced for the most specific part of the
// exporter that the record is of, else the one for all. Of rates for parts that the record
// does not name, it is what they agree in, and unknown, 0, where they differ. ok is false
// when nothing was announced.
func (s *samplers) rate(record samplerKey) found {
	for _, sh := range s.shapes {
		if sh&^record.shape() != 0 {
			continue
		}
		if a, ok := s.byKey[record.of(sh)]; ok {
			return found{a.rate, a.from, sh, true, true}
		}
	}
	if s.known {
		return found{s.all, nil, 0, true, true}
	}
	return s.only(record)
}

// only gives the rate that all share which may be that of a record.
func (s *samplers) only(record samplerKey) (f found) {
	for key, a := range s.byKey {
		f.ok = true
		switch {
		case !key.may(record):
		case f.sure && a.rate != f.rate:
			return found{ok: true, sure: true}
		default:
			f.rate, f.sure, f.from = a.rate, true, a.from
		}
	}
	if len(s.byKey) > 1 {
		f.from = nil // of any of these
	}
	return f
}

// ofDomain gives the rate that was announced for the domain of a record, from whichever
// domain.
func (s *samplers) ofDomain(record samplerKey) found {
	for _, sh := range s.shapes {
		if sh&kindDomain == 0 || sh&^record.shape() != 0 {
			continue
		}
		if a, ok := s.byKey[record.of(sh)]; ok {
			return found{a.rate, a.from, sh, true, true}
		}
	}
	return found{}
}

// rateElements collects the elements that make up one sampling rate.
type rateElements struct {
	interval               uint64  // 34, 50
	packets, space         uint64  // 305, 306
	size, population       uint64  // 309, 310
	probability            float64 // 311
	has34, has305, has306  bool
	has309, has310, has311 bool
}

// isRateElement names the elements that say how many packets were seen.
func isRateElement(ie uint16) bool {
	switch ie {
	case 34, 50, 305, 306, 309, 310, 311:
		return true
	}
	return false
}

// add takes one element's value, 1 to 8 bytes wide (311: a float32 or float64).
func (r *rateElements) add(ie uint16, b []byte) {
	if ie == 311 {
		switch v, _ := number(b); len(b) {
		case 4:
			r.probability, r.has311 = float64(math.Float32frombits(uint32(v))), true
		case 8:
			r.probability, r.has311 = math.Float64frombits(v), true
		}
		return
	}
	v, ok := number(b)
	if !ok {
		return
	}
	switch ie {
	case 34, 50:
		if !r.has34 || r.interval == 0 {
			r.interval, r.has34 = v, true
		}
	case 305:
		r.packets, r.has305 = v, true
	case 306:
		r.space, r.has306 = v, true
	case 309:
		r.size, r.has309 = v, true
	case 310:
		r.population, r.has310 = v, true
	}
}

// rate works out one of how many packets was seen: 34 or 50; (305+306)/305;
// 310/309; 1/311. told is false when the elements say nothing; the rate is 0
// when what they say is absurd.
func (r *rateElements) rate() (rate uint32, told bool) {
	switch {
	case r.has34:
		return believable(float64(r.interval)), true
	case r.has305 && r.has306:
		return believable(float64(r.packets+r.space) / float64(r.packets)), true
	case r.has309 && r.has310:
		return believable(float64(r.population) / float64(r.size)), true
	case r.has311:
		return believable(1 / r.probability), true
	}
	return 0, false
}

// believable rounds a rate, and gives 0 for one that cannot be.
func believable(f float64) uint32 {
	f = math.Round(f)
	if !(f >= 1 && f <= maxRate) {
		return 0
	}
	return uint32(f)
}
