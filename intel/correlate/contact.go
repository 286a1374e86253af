package correlate

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// A contactKey names a contact: offender, site and local address, protocol and service
// port. The site is part of it because two sites may use the same private addresses.
type contactKey struct {
	offender, local netip.Addr
	port            uint16
	site            uint16 // see flow.Exporter
	protocol        uint8
	hasProtocol     bool
	fold            foldKind // when it stands for many: of the rest only offender and site are set
}

// A packedKey is a contactKey in 40 bytes.
type packedKey struct {
	offender, local packed.Addr
	port, site      uint16
	protocol        uint8
	fold            foldKind
}

func (k *contactKey) pack() packedKey {
	p := packedKey{packed.Of(k.offender), packed.Of(k.local), k.port, k.site, k.protocol, k.fold}
	if k.hasProtocol && k.fold == notFolded {
		p.fold = withProtocol
	}
	return p
}

func (k *packedKey) key() contactKey {
	c := contactKey{k.offender.Addr(), k.local.Addr(), k.port, k.site, k.protocol, k.fold == withProtocol, k.fold}
	if c.hasProtocol {
		c.fold = notFolded
	}
	return c
}

// A contact is one conversation with an offender as the correlator holds it. Times of its
// life are readings of the correlator's own clock.
type contact struct {
	packed     packedKey
	id         uint64        // never used twice
	sameHash   *contact      // the next with the same hash of its key
	prev, next *contact      // its place among those of its rank, by last use
	due        time.Duration // of the next update, when it waits for one
	place      int32         // in the queue of updates; -1 = waits for none
	seq        uint32        // number of the last event

	first, last time.Duration
	uuid        uuid.UUID // of its events, made with the first of them

	conversation.Conversation

	listing *listing.Listing
	in4     uint32 // the IPv4 address in the offender that is listed; 0 = none
	port    uint16 // of the offender, for which listing was asked

	rateFrom uint16 // what the last sampling rate was announced for, in scopeTexts
	rate     uint32 // the last one

	foldable fold.Rule // as it is counted, see account
	// What the last events reported.
	reportedAnswered bool
	worst            event.Severity
	rank             event.Severity // worst when it was used last

	fold *fold.Fold // nil = it stands for itself
}

// key gives the name of the contact.
func (c *contact) key() contactKey { return c.packed.key() }

// score gives the score as things stand.
func (c *contact) score(f *score.Factors) uint8 {
	return f.Score(c.listing.Base, c.Direction(), c.Answered, !c.Passed)
}

// scopeTexts are the parts of exporters that sampling rates were announced for, by number.
// A contact has a number in place of a text. 0 is no text.
type scopeTexts struct {
	texts  []string
	number map[string]uint16
}

// maxScopeTexts bounds them; rates of further parts go without.
const maxScopeTexts = 4096

func (t *scopeTexts) of(s *string) uint16 {
	if s == nil {
		return 0
	}
	n, ok := t.number[*s]
	if !ok && len(t.texts) < maxScopeTexts {
		if t.number == nil {
			t.number = make(map[string]uint16)
		}
		t.texts = append(t.texts, *s)
		n = uint16(len(t.texts))
		t.number[*s] = n
	}
	return n
}

func (t *scopeTexts) text(n uint16) string {
	if n == 0 {
		return ""
	}
	return t.texts[n-1]
}
