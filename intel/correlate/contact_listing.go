package correlate

import (
	"hash/maphash"
	"math"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A listing is what a table has said of an offender. It never changes, and all contacts
// that were told the same share it.
type listing struct {
	version  string
	listings []packedListing // the best first
	base     int             // score of the indicators
	hash     uint64
	contacts int // that hold it
}

// A packedListing is an indicator, in 48 bytes instead of 216.
type packedListing struct {
	evidence             *evidence
	first, last, expires uint32 // Unix seconds; 0 = not said
	addr                 packed.Addr
	bits                 uint8
	score                uint8
	port                 uint16
}

// evidence is the text of an indicator. Most feeds have a few for all of their entries.
type evidence struct{ feed, category, ref, description, nativeID, tlp string }

// maxEvidence bounds the texts that can be shared. When there are more, sharing begins
// anew: those in use stay with their listings.
const maxEvidence = 4096

func (p *packedListing) prefix() netip.Prefix { return netip.PrefixFrom(p.addr.Addr(), int(p.bits)) }

func (p *packedListing) feed() string { return p.evidence.feed }

func (p *packedListing) indicator() event.Indicator {
	e := p.evidence
	return event.Indicator{
		Prefix: p.prefix(), Port: p.port, Feed: e.feed, Score: p.score, Category: e.category, Ref: e.ref,
		Description: e.description, NativeID: e.nativeID, TLP: e.tlp,
		FirstSeen: ofSeconds(p.first), LastSeen: ofSeconds(p.last), Expires: ofSeconds(p.expires),
	}
}

func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

func ofSeconds(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// indicators gives what was listed. The slice is the caller's.
func (l *listing) indicators() []event.Indicator {
	if len(l.listings) == 0 {
		return nil
	}
	out := make([]event.Indicator, len(l.listings))
	for i := range l.listings {
		out[i] = l.listings[i].indicator()
	}
	return out
}

// says reports whether the listing is of these indicators.
func (l *listing) says(version string, indicators []event.Indicator) bool {
	if l.version != version || len(l.listings) != len(indicators) {
		return false
	}
	for i := range indicators {
		if l.listings[i].indicator() != indicators[i] {
			return false
		}
	}
	return true
}

// listings are those of all contacts.
type listings struct {
	seed     maphash.Seed
	byHash   map[uint64]*listing
	evidence map[evidence]*evidence
}

func newListings() listings {
	return listings{seed: maphash.MakeSeed(), byHash: make(map[uint64]*listing), evidence: make(map[evidence]*evidence)}
}

// indicatorsOf gives the listings of a match as an event has them.
func indicatorsOf(m lookup.Match) []event.Indicator {
	listed := m.Indicators()
	out := make([]event.Indicator, len(listed))
	for i := range listed {
		out[i] = event.Indicator(listed[i])
	}
	return out
}

// hold gives the listing of a match for a contact that lets go of it later.
func (t *listings) hold(m lookup.Match) *listing {
	version, indicators := m.Version(), indicatorsOf(m)
	hash := maphash.String(t.seed, version)
	for i := range indicators {
		hash = hash*31 + maphash.Comparable(t.seed, indicators[i])
	}
	known := t.byHash[hash]
	if known != nil && known.says(version, indicators) {
		known.contacts++
		return known
	}
	l := &listing{version: version, listings: make([]packedListing, len(indicators)), base: baseScore(indicators), hash: hash, contacts: 1}
	for i := range indicators {
		l.listings[i] = t.pack(&indicators[i])
	}
	if known == nil {
		t.byHash[hash] = l
	}
	return l
}

// letGo ends what hold began; nil is no listing.
func (t *listings) letGo(l *listing) {
	if l == nil {
		return
	}
	if l.contacts--; l.contacts == 0 && t.byHash[l.hash] == l {
		delete(t.byHash, l.hash)
	}
}

func (t *listings) pack(ind *event.Indicator) packedListing {
	text := evidence{ind.Feed, ind.Category, ind.Ref, ind.Description, ind.NativeID, ind.TLP}
	shared := t.evidence[text]
	if shared == nil {
		if len(t.evidence) >= maxEvidence {
			clear(t.evidence)
		}
		shared = &text
		t.evidence[text] = shared
	}
	return packedListing{
		evidence: shared, addr: packed.Of(ind.Prefix.Addr()), bits: uint8(max(ind.Prefix.Bits(), 0)), port: ind.Port, score: ind.Score,
		first: seconds(ind.FirstSeen), last: seconds(ind.LastSeen), expires: seconds(ind.Expires),
	}
}
