package decode

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// A standing is how well a sender, or one of its streams, is known. Source
// addresses of UDP can be forged, so that when a limit is reached those of low
// standing give way to those of a higher one.
type standing uint8

const (
	stranger   standing = iota // has sent no record
	once                       // has sent records at one time
	newcomer                   // has sent records at several times
	proven                     // has sent records at times provenAfter apart
	configured                 // is named in the configuration
)

const (
	// provenAfter is the time between two datagrams with records that prove a
	// sender.
	provenAfter = time.Minute
	// strangerForget and newcomerForget are the silence after which a sender or a
	// stream that is not proven is forgotten. For one that is, see Limits.Forget.
	strangerForget = 10 * time.Minute
	newcomerForget = 30 * time.Minute
	// newcomerIdle and provenIdle are the silence after which a stream makes room
	// for another one of the same exporter when that has too many. A stream
	// without records always does.
	newcomerIdle = time.Minute
	provenIdle   = time.Hour
)

// A merit is what somebody has done to be known. The zero value has sent no record.
type merit struct {
	first, latest time.Time // when records came
	several       bool      // they came at more than one time
	proven        bool
}

// note notes that records came.
func (m *merit) note(now time.Time) {
	if now == m.latest {
		return // most often another datagram of a batch
	}
	switch age := now.Sub(m.first); {
	case m.first.IsZero():
		m.first = now
	case age < 0: // the clock was set, or a set has waited for its template
		m.first = now
	case age >= provenAfter:
		m.proven = true
	}
	m.several = m.several || !m.latest.IsZero()
	m.latest = now
}

func (m *merit) standing() standing {
	switch {
	case m.proven:
		return proven
	case m.several:
		return newcomer
	case !m.first.IsZero():
		return once
	}
	return stranger
}

// patience is the silence after which somebody of a standing is forgotten.
func (l *Limits) patience(s standing) time.Duration {
	switch {
	case s >= proven:
		return l.Forget
	case s == stranger:
		return min(strangerForget, l.Forget)
	}
	return min(newcomerForget, l.Forget)
}

// isNamed reports whether an exporter is named in the configuration.
func (x *Exporters) isNamed(addr netip.Addr) bool { return (*x.named.Load())[addr] }

// standing gives that of an exporter whose lock is held.
func (x *Exporters) standing(e *exporter) standing {
	if x.isNamed(e.addr) {
		return configured
	}
	return e.merit.standing()
}

// A resource is one of those that all exporters share.
type resource uint8

const (
	templateCount resource = iota
	templateMemory
	stateMemory
	earlyMemory
)

// uses is how much of a resource an exporter has.
func (e *exporter) uses(r resource) int64 {
	switch r {
	case templateCount:
		return int64(e.templates)
	case templateMemory:
		return e.templateBytes
	case stateMemory:
		return int64(e.state)
	}
	return int64(e.earlySize)
}

// share is the part of a limit that an exporter may use up. The last 32nd is for
// those that are proven: they need not wait until somebody gives way.
func (x *Exporters) share(e *exporter, limit int) int64 {
	if x.standing(e) < proven {
		return int64(limit - limit/32)
	}
	return int64(limit)
}

// sampled is the number of exporters among which one is chosen to give way. A choice
// among all would let a flood of forged senders cost a walk of the table each.
const sampled = 64

// reclaim makes room for an exporter, whose lock is held: others give way until it
// can have need more of a resource. It reports whether there is room now.
//
// Of lower standing those with the most go first. Of the same standing only those
// go that have more than this one will have, and of proven ones only those that are
// known for a shorter time. Nobody ever waits for the lock of an exporter while
// holding that of the table, so taking them in this order is safe.
func (x *Exporters) reclaim(e *exporter, r resource, need int64) bool {
	mine := x.standing(e)
	fruitless := &e.fruitless
	x.mu.Lock()
	defer x.mu.Unlock()
	if mine < proven {
		fruitless = &x.fruitless
	}
	if since := e.last.Sub(*fruitless); since >= 0 && since < time.Second {
		return false
	}
	for freed := int64(0); freed < need; {
		victim := x.victim(e, mine, r, need, sampled)
		if victim == nil && mine >= proven {
			victim = x.victim(e, mine, r, need, len(x.byAddr))
		}
		if victim == nil {
			*fruitless = e.last
			return false
		}
		freed += victim.uses(r)
		if r == earlyMemory {
			x.early.gaveWay.Add(x.early.drop(victim))
		} else {
			x.forget(victim)
			x.gaveWay.Add(1)
		}
		victim.mu.Unlock()
	}
	return true
}

// victim chooses among some of the exporters the one that gives way, and locks it.
func (x *Exporters) victim(e *exporter, mine standing, r resource, need int64, among int) (best *exporter) {
	var worst standing
	for _, v := range x.byAddr {
		if among--; among < 0 {
			break
		}
		if v == e || !v.mu.TryLock() {
			continue // at work
		}
		s, has := x.standing(v), v.uses(r)
		if has == 0 || !x.yields(v, e, s, mine, r, need) ||
			best != nil && cmp.Or(cmp.Compare(s, worst), cmp.Compare(best.uses(r), has)) >= 0 {
			v.mu.Unlock()
			continue
		}
		if best != nil {
			best.mu.Unlock()
		}
		best, worst = v, s
	}
	return best
}

// yields reports whether v, of standing s, gives way to e, of standing mine.
func (x *Exporters) yields(v, e *exporter, s, mine standing, r resource, need int64) bool {
	switch {
	case s == configured:
		return false
	case s < min(mine, proven):
		return true
	case s > mine:
		return false
	case v.uses(r) <= e.uses(r)+need || r == earlyMemory && s < proven:
		return false
	}
	return s < proven || mine == configured || v.merit.first.After(e.merit.first)
}

// displace lets an exporter that is not proven give way to a new one: of low standing
// first, then the one that has been silent for longest. The lock of the table is held.
func (x *Exporters) displace() bool {
	var best *exporter
	var worst standing
	among := sampled
	for _, v := range x.byAddr {
		if among--; among < 0 {
			break
		}
		if !v.mu.TryLock() {
			continue
		}
		s := x.standing(v)
		if s >= proven || best != nil && cmp.Or(cmp.Compare(s, worst), v.last.Compare(best.last)) >= 0 {
			v.mu.Unlock()
			continue
		}
		if best != nil {
			best.mu.Unlock()
		}
		best, worst = v, s
	}
	if best == nil {
		return false
	}
	x.forget(best)
	x.gaveWay.Add(1)
	best.mu.Unlock()
	return true
}

// displaceStream lets a stream of an exporter give way to a new one, see newcomerIdle.
func (x *Exporters) displaceStream(e *exporter) bool {
	var best *stream
	for _, s := range e.streams {
		silent := e.last.Sub(s.last)
		switch st := s.merit.standing(); {
		case st == proven && silent < provenIdle, st != stranger && silent < newcomerIdle:
			continue
		case best == nil || cmp.Or(cmp.Compare(st, best.merit.standing()), s.last.Compare(best.last)) < 0:
			best = s
		}
	}
	if best == nil {
		return false
	}
	x.dropStream(e, best)
	return true
}

// expireStreams forgets the streams of an exporter that have been silent for long.
func (x *Exporters) expireStreams(e *exporter, now time.Time) {
	for _, s := range e.streams {
		if now.Sub(s.last) > x.limits.patience(s.merit.standing()) {
			x.dropStream(e, s)
		}
	}
}

// dropStream forgets a stream. Its losses stay in the sum.
func (x *Exporters) dropStream(e *exporter, s *stream) {
	for id := range s.plans {
		x.dropTemplate(e, s, id)
	}
	for _, waiting := range s.early {
		for i := range waiting {
			x.early.take(e, &waiting[i])
			x.early.expired.Add(1)
		}
	}
	e.lost.add(s)
	e.state -= s.state
	x.stateBytes.Add(-int64(s.state))
	delete(e.streams, s.key)
	if e.recent == s {
		e.recent = nil
	}
	x.unrest.Add(1)
}

// dropUnused forgets the oldest templates that no data ever came for, or that ports have
// sent which others came after, to make room for others of the exporter, and gives their number. It does so once a second at most:
// what a flood of templates costs is bounded.
func (x *Exporters) dropUnused(e *exporter) int {
	if since := e.last.Sub(e.dropped); since >= 0 && since < time.Second {
		return 0
	}
	e.dropped = e.last
	type place struct {
		s *stream
		p *definition
	}
	var unused []place
	for _, s := range e.streams {
		for _, p := range s.plans {
			for first := p; p != nil; p = p.next {
				if !p.used || p != first {
					unused = append(unused, place{s, p})
				}
			}
		}
	}
	slices.SortFunc(unused, func(a, b place) int { return a.p.seen.Compare(b.p.seen) })
	unused = unused[:min(len(unused), len(unused)/8+1)]
	for _, u := range unused {
		x.dropMeaning(e, u.s, u.p)
	}
	return len(unused)
}
