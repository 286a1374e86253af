package decode

import "math"

// samplers are the sampling rates that an exporter announced in options data, by
// sampler id, and the one that it announced for everything.
type samplers struct {
	byID map[uint64]uint32
	// all is the rate announced without a sampler id; known tells whether there
	// was one. A known rate of 0 is an absurd one.
	all   uint32
	known bool
	// doubts are rates that are not believed yet, see credit.
	doubts map[samplerKey]doubt
}

// A samplerKey is a sampler id, or none.
type samplerKey struct {
	id    uint64
	hasID bool
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

// credit reports whether an announced rate is to be believed. The first one for a
// sampler is while its exporter has not sent any flow yet, and one within maxFactor of those in
// force; without any that is 1. Another one, an absurd one of 0 too, is believed
// when a later datagram announces it again.
func (s *samplers) credit(key samplerKey, rate uint32, datagram uint64, fresh bool) bool {
	low, high := s.inForce(key)
	if _, own := s.byID[key.id]; fresh && !(own && key.hasID) && !(s.known && !key.hasID) {
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

// inForce gives the least and the highest rate that a sampler may have now: its own,
// else those of all others. Both are 0 when there is none.
func (s *samplers) inForce(key samplerKey) (low, high uint32) {
	if rate, ok := s.byID[key.id]; ok && key.hasID {
		return rate, rate
	}
	if s.known && s.all != 0 {
		low, high = s.all, s.all
		if !key.hasID {
			return low, high
		}
	}
	for _, rate := range s.byID {
		if rate != 0 && (low == 0 || rate < low) {
			low = rate
		}
		high = max(high, rate)
	}
	return low, high
}

// set notes an announcement that is believed. It reports whether anything is new.
func (s *samplers) set(id uint64, hasID bool, rate uint32) (changed bool) {
	if !hasID {
		changed = !s.known || s.all != rate
		s.all, s.known = rate, true
		return changed
	}
	if s.byID == nil {
		s.byID = make(map[uint64]uint32)
	}
	old, have := s.byID[id]
	s.byID[id] = rate
	return !have || old != rate
}

// rate finds the rate of a record: that of its sampler, else the one for all,
// else the only one there is. ok is false when nothing was announced.
func (s *samplers) rate(id uint64, hasID bool) (rate uint32, ok bool) {
	if hasID {
		if r, ok := s.byID[id]; ok {
			return r, true
		}
	}
	if s.known {
		return s.all, true
	}
	return s.only()
}

// only gives the rate that all samplers share. Samplers that differ leave a
// record without a sampler id with an unknown rate, 0.
func (s *samplers) only() (rate uint32, ok bool) {
	for _, r := range s.byID {
		if ok && r != rate {
			return 0, true
		}
		rate, ok = r, true
	}
	return rate, ok
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
