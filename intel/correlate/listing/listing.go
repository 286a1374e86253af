package listing

import (
	"hash/maphash"
	"math"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Listing is what a table has of an offender. It never changes, and all contacts
// with the same share it.
type Listing struct {
	Version  string          // of the table
	listings []packedListing // the best first
	Base     int             // score of the indicators
	hash     uint64
	contacts int // that hold it
}

// A packedListing is an indicator, in 48 bytes instead of 216.
type packedListing struct {
	evidence             *evidence
	first, last, expires uint32 // Unix seconds; 0 = not given
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

// Indicators gives what was listed. The slice is the caller's.
func (l *Listing) Indicators() []event.Indicator {
	if len(l.listings) == 0 {
		return nil
	}
	out := make([]event.Indicator, len(l.listings))
	for i := range l.listings {
		out[i] = l.listings[i].indicator()
	}
	return out
}

// equal reports whether the listing is of these indicators.
func (l *Listing) equal(version string, indicators []event.Indicator) bool {
	if l.Version != version || len(l.listings) != len(indicators) {
		return false
	}
	for i := range indicators {
		if l.listings[i].indicator() != indicators[i] {
			return false
		}
	}
	return true
}

// A Pool holds the listings of all contacts, each once. It belongs to one goroutine.
type Pool struct {
	seed     maphash.Seed
	byHash   map[uint64]*Listing
	evidence map[evidence]*evidence
}

// NewPool makes an empty pool.
func NewPool() Pool {
	return Pool{seed: maphash.MakeSeed(), byHash: make(map[uint64]*Listing), evidence: make(map[evidence]*evidence)}
}

// IndicatorsOf gives the listings of a match as an event has them.
func IndicatorsOf(m lookup.Match) []event.Indicator {
	listed := m.Indicators()
	out := make([]event.Indicator, len(listed))
	for i := range listed {
		out[i] = event.Indicator(listed[i])
	}
	return out
}

// Hold gives the listing of a match for a contact that lets go of it later.
func (t *Pool) Hold(m lookup.Match) *Listing {
	version, indicators := m.Version(), IndicatorsOf(m)
	hash := maphash.String(t.seed, version)
	for i := range indicators {
		hash = hash*31 + maphash.Comparable(t.seed, indicators[i])
	}
	known := t.byHash[hash]
	if known != nil && known.equal(version, indicators) {
		known.contacts++
		return known
	}
	l := &Listing{Version: version, listings: make([]packedListing, len(indicators)), Base: score.Base(indicators), hash: hash, contacts: 1}
	for i := range indicators {
		l.listings[i] = t.pack(&indicators[i])
	}
	if known == nil {
		t.byHash[hash] = l
	}
	return l
}

// LetGo ends what Hold began; nil is no listing.
func (t *Pool) LetGo(l *Listing) {
	if l == nil {
		return
	}
	if l.contacts--; l.contacts == 0 && t.byHash[l.hash] == l {
		delete(t.byHash, l.hash)
	}
}

func (t *Pool) pack(ind *event.Indicator) packedListing {
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
