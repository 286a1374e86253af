// Package sampling knows the sampling rates that an exporter has announced in options
// data: for a sampler, a part of the exporter, or all of it; which announcement is to be
// believed; and which rate a flow record has. Package decode has [Rates] for each stream
// and for each exporter, asks for a rate when it builds a record, and locks them.
package sampling

import (
	"iter"
	"slices"
)

// Rates are the sampling rates that an exporter announced in options data: by sampler
// id and by scope, and the one that it announced for everything.
type Rates struct {
	byKey  map[Key]announced
	shapes []shape // of the keys, the most specific first
	// all is the rate announced without a sampler id or a scope; known reports whether
	// there was one. A known rate of 0 is an absurd one.
	all   uint32
	known bool
	// doubts are rates that are not believed yet, see credit.
	doubts map[Key]doubt
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
	// MaxRate is the highest sampling rate that is believed.
	MaxRate = 10_000_000
	// maxFactor is how far, up or down, one datagram alone may take a sampling rate:
	// its source may be forged.
	maxFactor = 10
)

// Empty reports whether nothing is known.
func (s *Rates) Empty() bool { return len(s.shapes) == 0 && !s.known }

// Len is the number of keys other than the zero one.
func (s *Rates) Len() int { return len(s.byKey) }

// Has reports whether a rate is known for a key.
func (s *Rates) Has(key Key) bool {
	_, ok := s.own(key)
	return ok
}

// All gives the rates by key, the one for everything first.
func (s *Rates) All() iter.Seq2[Key, uint32] {
	return func(yield func(Key, uint32) bool) {
		if s.known && !yield(Key{}, s.all) {
			return
		}
		for key, a := range s.byKey {
			if !yield(key, a.rate) {
				return
			}
		}
	}
}

// A Fate is what became of an announced rate.
type Fate uint8

// The fates.
const (
	Known   Fate = iota // it is in force already
	New                 // it is in force from now on
	Doubted             // it waits for another announcement
	NoRoom              // there are too many samplers already
)

// An Announcement is a rate in options data.
type Announcement struct {
	Key      Key
	Rate     uint32
	Datagram uint64 // the number of the exporter's datagram that it came in
	Fresh    bool   // the exporter has not sent any flow yet
	Limit    int    // the number of keys that are kept
}

// Announce takes an announcement. room is asked for the memory of one more key.
func (s *Rates) Announce(a Announcement, room func() bool) Fate {
	_, have := s.byKey[a.Key]
	have = have || a.Key == (Key{})
	if _, doubted := s.doubts[a.Key]; !have && !doubted {
		if len(s.byKey)+len(s.doubts) >= a.Limit && !s.forgetDoubt() || !room() {
			return NoRoom
		}
	}
	switch {
	case !s.credit(a.Key, a.Rate, a.Datagram, a.Fresh):
		return Doubted
	case s.Set(a.Key, a.Rate):
		return New
	}
	return Known
}

// own gives the rate of a key itself.
func (s *Rates) own(key Key) (rate uint32, ok bool) {
	if key == (Key{}) {
		return s.all, s.known
	}
	a, ok := s.byKey[key]
	return a.rate, ok
}

// credit reports whether an announced rate is to be believed. The first one for a
// sampler is while its exporter has not sent any flow yet, and one within maxFactor of those in
// force; without any that is 1. Another one, an absurd one of 0 too, is believed
// when a later datagram announces it again.
func (s *Rates) credit(key Key, rate uint32, datagram uint64, fresh bool) bool {
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
		s.doubts = make(map[Key]doubt)
	}
	s.doubts[key] = doubt{rate, datagram}
	return false
}

// forgetDoubt makes room for a sampler. It reports whether there was a doubt.
func (s *Rates) forgetDoubt() bool {
	for key := range s.doubts {
		delete(s.doubts, key)
		return true
	}
	return false
}

// inForce gives the least and the highest rate that a key may have now: its own,
// else those of all others. Both are 0 when there is none.
func (s *Rates) inForce(key Key) (low, high uint32) {
	everything := key == (Key{})
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

// Set notes a rate that is believed. It reports whether anything is new.
func (s *Rates) Set(key Key, rate uint32) (changed bool) {
	if key == (Key{}) {
		changed = !s.known || s.all != rate
		s.all, s.known = rate, true
		return changed
	}
	if s.byKey == nil {
		s.byKey = make(map[Key]announced)
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

// Find gives the rate of a record, announced in its own domain or in another of its
// exporter, and what it was announced for. ok is false when nothing is known.
func Find(domain, exporter *Rates, record Key) (rate uint32, from *string, ok bool) {
	f := domain.rate(record)
	if d := exporter.ofDomain(record); d.ok && (!f.sure || d.shape > f.shape) {
		f = d
	}
	if !f.sure {
		if other := exporter.rate(record); other.ok {
			f = other
		}
	}
	return f.rate, f.from, f.ok
}

// Vary reports whether the rate of a record depends on more of it than its domain and its
// template.
func Vary(domain, exporter *Rates) bool {
	for _, s := range [...]*Rates{domain, exporter} {
		for _, sh := range s.shapes {
			if sh&^(kindDomain|kindPlan|kindOther) != 0 {
				return true
			}
		}
	}
	return false
}

// A found rate is the answer of samplers for a record. sure means that it was announced
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
func (s *Rates) rate(record Key) found {
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
func (s *Rates) only(record Key) (f found) {
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
func (s *Rates) ofDomain(record Key) found {
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
