package correlate

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/dedup"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A Correlator is the single owner of the contacts: it rolls hits up, judges them
// and publishes events. It has no goroutine and no clock; whoever owns it calls
// Handle, Tick and Flush from one goroutine and states what time it is: the monotonic
// clock when live, the capture's own in a replay.
type Correlator struct {
	scopes scopeTexts

	cfg       Config
	home      sites.Homes
	bounds    *score.Bounds
	exporters map[netip.Addr]*sites.Exporter
	publish   func([]event.Event)
	onCanary  func(*lookup.Hit) bool

	clock    clock
	now      time.Duration // reading of clock
	unsynced bool          // the wall clock cannot be trusted
	contacts *contacts
	flows    *dedup.Memory
	out      []event.Event
	stats    stats
	tally    *listing.Tally

	folds     *fold.Memory
	foldFlows *dedup.Memory // those in folded contacts: a scan must not drive out the others
}

// New makes a correlator of a valid configuration. publish gets events in batches,
// from within Handle, Tick and Flush; it must not keep the slice.
func New(cfg Config, publish func([]event.Event)) *Correlator {
	home := cfg.Homes()
	c := &Correlator{
		cfg:       cfg,
		home:      home,
		bounds:    score.NewBounds(&cfg.Factors, home),
		exporters: make(map[netip.Addr]*sites.Exporter, len(cfg.Exporters)),
		publish:   publish,
		clock:     clock{longest: max(cfg.Idle, everyUpdate) + everyUpdate},
		contacts:  newContacts(),
		flows:     dedup.New(max(cfg.MaxFlows, 1)),
		foldFlows: dedup.New(max(cfg.MaxFlows/foldShare, 1)),
		tally:     listing.NewTally(),
		folds:     fold.New(cfg.MaxContacts),
	}
	for i := range cfg.Exporters {
		e := &cfg.Exporters[i]
		c.exporters[e.Address.Unmap()] = e
	}
	return c
}

// Bound gives the highest severity that a hit could give its contact, by what its record
// alone shows: the queue in front of the correlator gives way by it. Any goroutine may ask.
func (c *Correlator) Bound(h *lookup.Hit) event.Severity { return c.bounds.Of(h) }

// Ours reports whether an address, or the IPv4 address that it carries, is in the home
// networks of a site. Any goroutine may ask.
func (c *Correlator) Ours(site uint16, a netip.Addr) bool { return c.home.At(site).Has(a) }

// Tally counts the hits by what lists their offender. Any goroutine may read it.
func (c *Correlator) Tally() *listing.Tally { return c.tally }

// Handle takes in hits at the time now and publishes all that follows in one batch,
// updates that have come due included. It keeps nothing of the slice.
func (c *Correlator) Handle(hits []lookup.Hit, now time.Time) {
	c.advance(now)
	for i := range hits {
		if hits[i].Canary != nil {
			c.canary(&hits[i], now)
		} else {
			c.handle(&hits[i], now)
		}
	}
	c.flushBatch()
}

// Tick publishes the updates that are due and ends the contacts that are idle. It
// costs next to nothing when there are none, so it may be called often; time that
// goes back a little stands still.
func (c *Correlator) Tick(now time.Time) {
	c.advance(now)
	c.flushBatch()
}

// Flush ends all contacts and publishes the last update of those with news, in the
// order of their last use. The correlator may be used again.
func (c *Correlator) Flush(now time.Time) {
	c.advance(now)
	for ct := c.contacts.longestIdle(); ct != nil; ct = c.contacts.longestIdle() {
		c.end(ct)
		c.stats.ended.Add(1)
	}
	c.flushBatch()
}

// advance does what has come due since the last call.
func (c *Correlator) advance(now time.Time) {
	c.now = c.clock.read(now)
	c.unsynced = c.cfg.Unsynced != nil && c.cfg.Unsynced()
	for u := &c.contacts.updates; u.Len() > 0 && (*u)[0].due <= c.now; {
		c.update((*u)[0])
	}
	before := c.now - c.cfg.Idle
	for ct := c.contacts.longestIdle(); ct != nil && ct.last <= before; ct = c.contacts.longestIdle() {
		c.end(ct)
		c.stats.ended.Add(1)
	}
	c.flows.Expire(before)
	c.foldFlows.Expire(before)
}

// handle takes in one hit.
func (c *Correlator) handle(h *lookup.Hit, now time.Time) {
	c.stats.hits.Add(1)
	s := c.read(h, now)
	countIf(&c.stats.suspect, s.Suspect)
	if s.Initiator == conversation.Nobody && c.joined(h, &s.Ends) {
		s.Initiator = conversation.Offender
	}
	key := c.contacts.keyOf(&s.Ends)
	s.Serve(key.port)
	ct, isNew := c.contact(key, h, &s)
	news := c.merge(ct, h, &s)
	c.tally.Add(ct.listing, ct.Direction())
	switch {
	case isNew || c.cfg.EveryHit:
		c.emit(c.hitEvent(ct, &s))
	case c.urgent(ct):
		c.contacts.settle(ct)
		c.emit(c.updateEvent(ct))
	case news:
		c.contacts.wait(ct, c.now)
	}
	c.contacts.touch(ct, c.now)
	for c.contacts.held() > max(c.cfg.MaxContacts, 1) {
		c.evict()
	}
}

// OnCanary has f asked about every canary, by the goroutine that calls Handle: only
// those that it wants become events. Without it none does. It must be called before
// the first Handle. A canary is no hit: it makes no contact and counts as none.
func (c *Correlator) OnCanary(f func(h *lookup.Hit) bool) { c.onCanary = f }

// canary takes in a canary.
func (c *Correlator) canary(h *lookup.Hit, now time.Time) {
	c.stats.canaries.Add(1)
	if c.onCanary == nil || !c.onCanary(h) {
		return
	}
	c.emit(c.canaryEvent(h, now))
}

// crowdedOut reports whether a new contact would be the one that makes room at once,
// because all others are more severe. Then each of its flows would be an event, for as long
// as the table is full.
func (c *Correlator) crowdedOut(h *lookup.Hit, s *conversation.Sight, us conversation.Ours) bool {
	if c.cfg.EveryHit || c.contacts.held() < max(c.cfg.MaxContacts, 1) {
		return false
	}
	could := c.cfg.Factors.Score(score.Base(listing.IndicatorsOf(h.Match)), us.Direction(&s.Ends), s.IsAnswer(), s.Blocked)
	return event.SeverityOf(int(could)) < c.contacts.leastSevere().rank
}

// evict ends the contact that matters least.
func (c *Correlator) evict() {
	ct := c.contacts.leastSevere()
	c.stats.evicted[ct.rank].Add(1)
	c.end(ct)
}

// contact gives the contact of a key, a new one if there is none.
func (c *Correlator) contact(key contactKey, h *lookup.Hit, s *conversation.Sight) (ct *contact, isNew bool) {
	if ct = c.contacts.get(key); ct != nil {
		return ct, false
	}
	us := conversation.OursOf(h, &s.Ends, c.home.At(s.Site))
	if folded, ok := c.foldOf(h, s, us); ok {
		if ct = c.contacts.get(folded); ct != nil {
			return ct, false
		}
		key = folded
	}
	if c.crowdedOut(h, s, us) {
		c.stats.crowdedOut.Add(1)
		if ct = c.contacts.overflow; ct != nil {
			return ct, false
		}
		key = contactKey{fold: ofOverflow}
	}
	ct = c.contacts.add(key, c.now)
	ct.Conversation = conversation.New(s, us)
	if key.fold != notFolded {
		ct.fold = new(fold.Fold)
		c.stats.folds.Add(1)
	}
	switch key.fold {
	case ofOffender:
		c.contacts.offenders[ct.packed.at()].folded = ct.id
	case ofOverflow:
		c.contacts.overflow = ct
	}
	return ct, true
}

// merge adds a hit to its contact, and reports whether that changes anything that an
// update would show.
func (c *Correlator) merge(ct *contact, h *lookup.Hit, s *conversation.Sight) (news bool) {
	before, answered, refused := uint8(0), ct.Answered, ct.Refused()
	if ct.listing != nil {
		before = ct.score(&c.cfg.Factors)
	}
	if c.cfg.EveryHit {
		c.contacts.listAs(ct, h.Match)
	} else {
		c.contacts.relist(ct, h.Match, s.OffenderPort)
	}
	ct.See(s)
	ct.rate, ct.rateFrom = s.Rate, c.scopes.of(s.RateFrom)
	key, joined := dedup.Key{Contact: ct.id, OffenderPort: s.OffenderPort, LocalPort: s.LocalPort}, false
	flows, forgotten := c.flows, &c.stats.forgotten
	if ct.fold != nil {
		key.Contact, joined = c.folds.Flow(ct.id, &s.Ends), c.folds.Join(ct.fold, &s.Ends)
		flows, forgotten = c.foldFlows, &c.stats.foldsForgotten
		c.stats.foldedHits.Add(1)
	}
	n := flows.Note(key, s, c.now)
	changed, noRoom := ct.Count(s, n.Added)
	countIf(&c.stats.duplicates, n.Duplicate)
	forgotten.Add(uint64(n.Forgot))
	countIf(&c.stats.overCap, n.Full || noRoom)
	c.account(ct, true)
	return changed || joined || ct.Answered != answered || ct.Refused() != refused || ct.score(&c.cfg.Factors) != before
}

// urgent reports whether the contact has become answered or worse since its last event.
func (c *Correlator) urgent(ct *contact) bool {
	return ct.Answered && !ct.reportedAnswered || c.severity(ct) > ct.worst
}

func (c *Correlator) severity(ct *contact) event.Severity {
	return event.SeverityOf(int(ct.score(&c.cfg.Factors)))
}

// update publishes the update of a contact that waits for one.
func (c *Correlator) update(ct *contact) {
	if c.contacts.settle(ct) {
		c.emit(c.updateEvent(ct))
	}
}

// end removes a contact, after its last update if it has news.
func (c *Correlator) end(ct *contact) {
	if c.contacts.settle(ct) {
		ev := c.updateEvent(ct)
		ev.Last = true
		c.emit(ev)
	}
	c.account(ct, false)
	if ct.fold != nil {
		c.folds.Forget(ct.fold)
	}
	c.contacts.remove(ct)
}

// read reads a hit.
func (c *Correlator) read(h *lookup.Hit, now time.Time) conversation.Sight {
	s := conversation.Read(h, c.exporter(&h.Record.Exporter), now)
	s.Unsynced = c.unsynced
	return s
}

// exporter gives what the operator configures about a device, nil when nothing. The sFlow
// agent is the device itself, its source address may be that of a relay.
func (c *Correlator) exporter(e *flow.Exporter) *sites.Exporter {
	if known := c.exporters[e.Agent]; known != nil {
		return known
	}
	return c.exporters[e.Addr]
}

// maxBatch bounds a batch of events. Only contacts that come due or end in thousands
// at a time need more than one.
const maxBatch = 4096

// emit adds an event to the batch.
func (c *Correlator) emit(e event.Event) {
	if len(c.out) >= maxBatch {
		c.send()
	}
	c.out = append(c.out, e)
	switch e.Kind {
	case event.KindUpdate:
		c.stats.updateEvents.Add(1)
	case event.KindCanary:
		c.stats.canaryEvents.Add(1)
	default:
		c.stats.hitEvents.Add(1)
		c.stats.severities[e.Severity].Add(1)
	}
}

func (c *Correlator) send() {
	if len(c.out) == 0 {
		return
	}
	c.publish(c.out)
	clear(c.out)
	c.out = c.out[:0]
}

// flushBatch publishes the batch and brings the gauges up to date.
func (c *Correlator) flushBatch() {
	c.send()
	c.stats.contacts.Store(uint64(c.contacts.n))
	c.stats.flows.Store(uint64(c.flows.Len() + c.foldFlows.Len()))
}

// A clock makes time that never goes back of times that may. Captures of several
// queues are a little out of order: until the old time is reached again the clock
// stands still. After a step back that is longer than maxBackstep, the next capture
// of a row, it goes on from there. A step forward counts longest at most, after
// which everything is due anyway, so that one packet of the year 2100 does no harm.
type clock struct {
	high    time.Time
	elapsed time.Duration
	longest time.Duration
}

const maxBackstep = time.Minute

// read gives the time that has elapsed since the first reading.
func (c *clock) read(now time.Time) time.Duration {
	if c.high.IsZero() {
		c.high = now
	}
	switch d := now.Sub(c.high); {
	case d > 0:
		c.elapsed += min(d, c.longest)
		c.high = now
	case d < -maxBackstep:
		c.high = now
	}
	return c.elapsed
}
