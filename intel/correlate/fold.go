package correlate

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/dedup"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// foldShare is the part of Config.MaxFlows that is remembered of folded contacts beside
// the rest, to recognise duplicates and answers.
const foldShare = 8

// A foldKind is the part of a contact's key that is about folding: whether the contact stands
// for itself, for many of one offender, or for those of all offenders that a listed prefix
// holds, each at one site.
type foldKind uint8

const (
	notFolded  foldKind = iota
	ofOffender          // its scan
	ofOneSided          // what may be forged, see fold.OneSided; rolled up, protocol is the length of the prefix plus one
	ofOverflow          // of all offenders: what finds no room among more severe contacts
	ofPrefix            // and up: rolled up, plus the length of the prefix
)

// withProtocol is no fold: in a packed key it stands for a contact of its own whose
// protocol is known.
const withProtocol foldKind = 255

// foldOf gives the key of the folded contact that a hit without a contact of its own
// joins, if it does. What our end has sent something in, other than inbound refusals,
// never does.
func (c *Correlator) foldOf(h *lookup.Hit, s *conversation.Sight, us conversation.Ours) (contactKey, bool) {
	by := fold.RuleOf(us.Direction(&s.Ends), s.IsAnswer(), s.TwoSided())
	if c.cfg.EveryHit || by == fold.Never {
		return contactKey{}, false
	}
	key := contactKey{site: s.Site, fold: ofOneSided}
	if p, ok := c.folds.RolledUp(h.Match); ok {
		if key.offender, key.protocol = p.Addr(), uint8(p.Bits()+1); by == fold.AsScan {
			key.protocol, key.fold = 0, ofPrefix+foldKind(p.Bits())
		}
		return key, true
	}
	if key.offender = s.Offender; by == fold.AsScan {
		key.fold = ofOffender
	}
	return key, c.folds.Full(c.contacts.alone(s.Offender, s.Site), by, s.Site, s.Local)
}

// joined reports whether a flow of the same ends and ports has joined a folded contact
// of late: then it was the offender that opened the conversation.
func (c *Correlator) joined(h *lookup.Hit, e *conversation.Ends) bool {
	id := uint64(0)
	if o := c.contacts.offender(e.Offender, e.Site); o != nil {
		id = o.folded
	}
	if p, ok := c.folds.RolledUp(h.Match); ok {
		if ct := c.contacts.get(contactKey{offender: p.Addr(), site: e.Site, fold: ofPrefix + foldKind(p.Bits())}); ct != nil {
			id = ct.id
		}
	}
	return id != 0 && c.foldFlows.Has(dedup.Key{Contact: c.folds.Flow(id, e), OffenderPort: e.OffenderPort, LocalPort: e.LocalPort})
}

// RollUp replaces the listed prefixes whose unanswered inbound contacts are one contact
// each, see [fold.Memory.RollUp]. It may be called from any goroutine.
func (c *Correlator) RollUp(prefixes []netip.Prefix) { c.folds.RollUp(prefixes) }

// account counts a contact among those that could fold for as long as it could.
func (c *Correlator) account(ct *contact, held bool) {
	could := fold.Never
	if held && ct.fold == nil {
		could = fold.RuleOf(ct.Direction(), ct.Answered, ct.TwoSided)
	}
	if could == ct.foldable {
		return
	}
	a := &c.contacts.offenders[ct.packed.at()].alone
	site, host := ct.packed.site, ct.packed.local.Addr()
	c.folds.Add(a, ct.foldable, site, host, -1)
	c.folds.Add(a, could, site, host, 1)
	ct.foldable = could
}
