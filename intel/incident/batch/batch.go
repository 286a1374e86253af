package batch

import (
	"math"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Flags are what there was in a contact, a share of a host or an incident.
type Flags uint16

// The flags. Their values are in the database: they never change.
const (
	Called         Flags = 1 << iota // a host of ours opened it
	Answered                         // it was answered, whoever opened it
	CalledAnswered                   // both, of one contact
	Inbound
	Outbound
	Internal
	Transit
	Blocked
	Refused
	Retro
	MoreHosts // there are more hosts than were counted
	MorePorts
	Folded // the contact stands for many
)

// The longest texts, in bytes. An event of the journal has up to 4,096 bytes.
const (
	maxName   = 64
	maxReason = 256
	maxRef    = 512
)

// maxListings and maxExporters bound what is kept of one offender.
const (
	maxListings  = 32
	maxExporters = 8
)

// A Contact is what is new of a contact on one day.
type Contact struct {
	ID       uuid.UUID
	Day      int32 // of its last flow
	Offender int32 // in Offenders
	Host     int32 // in Hosts; -1 = more than one, or none of ours
	Seqs     Seqs
	Total    incident.Sums // of the event with the highest number
	// First and Last are seconds since 1970. What is Retro has flows on other days as well.
	First, Last int64
	// Counts is how many contacts it stands for, Ports and HostCount (of ours) what a folded
	// one has.
	Counts           uint32
	Ports, HostCount uint32
	Protocol         uint8
	Port             uint16
	Service          bool // Protocol and Port are that of the contact
	Worst            event.Severity
	Flags            Flags
}

// An Offender is what is new of an offender, whatever the contact.
type Offender struct {
	Addr      netip.Addr
	Worst     event.Severity
	Score     uint8 // of the worst event
	Reason    int32 // likewise, see Text
	Country   [2]byte
	ASNumber  uint32
	ASName    int32 // see Text
	Listings  []Listing
	Exporters []netip.Addr
}

// A Listing is a listing of an offender; texts see Text.
type Listing struct {
	Indicator                             netip.Prefix
	Feed, Category, Ref, Description, TLP int32
	Score                                 uint8
}

// A Batch is what is to be written. It belongs to one goroutine. The zero value is empty.
type Batch struct {
	Contacts  []Contact
	Offenders []Offender
	Hosts     []incident.Host
	Alerts    []incident.Alert
	// Events are all that were added, Repeats those that came a second time within the
	// batch.
	Events, Repeats uint64

	contacts  map[contactDay]int32
	offenders map[netip.Addr]int32
	hosts     map[incident.Host]int32
	alerts    map[uuid.UUID]bool
	texts     map[string]int32
	text      []string
	scratch   []byte
	extra     int // bytes beside the slices
}

// A contactDay is what a Contact of a batch is known by.
type contactDay struct {
	id  uuid.UUID
	day int32
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Offenders) // they hold slices
	clear(b.contacts)
	clear(b.offenders)
	clear(b.hosts)
	clear(b.alerts)
	clear(b.texts)
	clear(b.text)
	*b = Batch{Contacts: b.Contacts[:0], Offenders: b.Offenders[:0], Hosts: b.Hosts[:0], Alerts: b.Alerts[:0],
		contacts: b.contacts, offenders: b.offenders, hosts: b.hosts, alerts: b.alerts, texts: b.texts, text: b.text[:0], scratch: b.scratch}
}

// perContact, perOffender and perHost are what one takes, its place in a map included.
const (
	perContact  = int(unsafe.Sizeof(Contact{})) + 2*int(unsafe.Sizeof(contactDay{})) + 16
	perOffender = int(unsafe.Sizeof(Offender{})) + 64
	perHost     = int(unsafe.Sizeof(incident.Host{})) + 96
)

// Bytes is about how much memory the batch takes.
func (b *Batch) Bytes() int {
	return perContact*len(b.Contacts) + perOffender*len(b.Offenders) + perHost*len(b.Hosts) + b.extra
}

// Text gives a text by its number.
func (b *Batch) Text(n int32) string {
	if n == 0 {
		return ""
	}
	return b.text[n-1]
}

// note gives the number of a text, without control characters and cut to limit.
func (b *Batch) note(s string, limit int) int32 {
	if s == "" {
		return 0
	}
	b.scratch = fit.AppendPlain(b.scratch[:0], s, limit)
	if n, ok := b.texts[string(b.scratch)]; ok {
		return n
	}
	t := string(b.scratch)
	b.text = append(b.text, t)
	n := int32(len(b.text))
	b.texts[t] = n
	b.extra += len(t) + 64
	return n
}

// Add adds an event. It keeps nothing of it. Canaries are no events of an offender, and are
// only counted.
func (b *Batch) Add(e *event.Event) {
	if b.contacts == nil {
		b.contacts, b.offenders = map[contactDay]int32{}, map[netip.Addr]int32{}
		b.hosts, b.texts, b.alerts = map[incident.Host]int32{}, map[string]int32{}, map[uuid.UUID]bool{}
	}
	b.Events++
	switch {
	case e.Kind == event.KindAlert:
		b.alert(e)
	case e.Kind == event.KindCanary || !e.Offender.IsValid():
	default:
		b.contact(e, b.offender(e))
	}
}

// alert keeps an alert.
func (b *Batch) alert(e *event.Event) {
	if b.alerts[e.ID] {
		b.Repeats++
		return
	}
	b.alerts[e.ID] = true
	a := incident.Alert{ID: e.ID, Time: e.Time, Severity: min(e.Severity, event.Critical), Offender: e.Offender.Unmap(),
		Host: e.Local.Unmap().WithZone(""), Evidence: incident.EvidenceOf(e.RaisedBy()),
		Name: b.Text(b.note(e.Alert, maxName)), Reason: b.Text(b.note(e.Reason, maxReason)), TLP: b.Text(b.note(restricted(e), maxName))}
	b.Alerts = append(b.Alerts, a)
	b.extra += int(unsafe.Sizeof(a)) + 64
	if a.Evidence != nil {
		b.extra += perEvidence
	}
}

// perEvidence is about what the evidence of a rule takes at most.
const perEvidence = 8 << 10

// restricted gives the most restricted label of the listings that an alert is about.
func restricted(e *event.Event) (label string) {
	if e.Rule != nil {
		label = e.Rule.TLP
	}
	for all, i := e.Indicators, 0; i < len(all); i++ {
		if intel.TLPRank(all[i].TLP) > intel.TLPRank(label) {
			label = all[i].TLP
		}
	}
	return label
}

// offender notes what an event has of the offender, whatever the contact.
func (b *Batch) offender(e *event.Event) int32 {
	addr := e.Offender.Unmap().WithZone("")
	n, ok := b.offenders[addr]
	if !ok {
		n = int32(len(b.Offenders))
		b.offenders[addr] = n
		b.Offenders = append(b.Offenders, Offender{Addr: addr})
	}
	o := &b.Offenders[n]
	severity := min(e.Severity, event.Critical)
	if o.Reason == 0 || severity > o.Worst || severity == o.Worst && e.Score > o.Score {
		o.Worst, o.Score, o.Reason = severity, e.Score, b.note(e.Reason, maxReason)
	}
	b.place(o, e)
	for i := range e.Indicators {
		b.listing(o, &e.Indicators[i])
	}
	b.exporter(o, e.Exporter)
	for _, x := range e.Exporters {
		b.exporter(o, x)
	}
	return n
}

// place notes where the offender is, as far as the event has it.
func (b *Batch) place(o *Offender, e *event.Event) {
	if len(e.Country) == 2 {
		o.Country = [2]byte([]byte(e.Country))
	}
	if e.ASNumber != 0 {
		o.ASNumber = e.ASNumber
	}
	if e.ASName != "" {
		o.ASName = b.note(e.ASName, maxName)
	}
}

// listing adds a listing, or replaces that of the same entry of the feed. A feed can have an
// entry twice: of the labels of both, and of what finds no room, the most restricted one stays,
// as the reason may be of either.
func (b *Batch) listing(o *Offender, i *event.Indicator) {
	l := Listing{Indicator: i.Prefix, Feed: b.note(i.Feed, maxName), Category: b.note(i.Category, maxName), Ref: b.note(i.Ref, maxRef),
		Description: b.note(i.Description, maxReason), TLP: b.note(i.TLP, maxName), Score: i.Score}
	if l.Feed == 0 || !i.Prefix.IsValid() {
		return
	}
	at := slices.IndexFunc(o.Listings, func(x Listing) bool { return x.Feed == l.Feed && x.Indicator == l.Indicator })
	stricter := func(x Listing) int32 {
		if intel.TLPRank(b.Text(x.TLP)) > intel.TLPRank(i.TLP) {
			return x.TLP
		}
		return l.TLP
	}
	switch {
	case at >= 0:
		l.TLP = stricter(o.Listings[at])
		o.Listings[at] = l
	case len(o.Listings) == maxListings:
		last := &o.Listings[maxListings-1]
		last.TLP = stricter(*last)
	default:
		o.Listings = append(o.Listings, l)
		b.extra += int(unsafe.Sizeof(l))
	}
}

func (b *Batch) exporter(o *Offender, x netip.Addr) {
	if x.IsValid() && len(o.Exporters) < maxExporters && !slices.Contains(o.Exporters, x.Unmap()) {
		o.Exporters = append(o.Exporters, x.Unmap())
		b.extra += int(unsafe.Sizeof(x))
	}
}

// contact notes what an event has of its contact.
func (b *Batch) contact(e *event.Event, offender int32) {
	id, seq := e.Contact, e.Seq
	if e.Retro || id == (uuid.UUID{}) || seq == 0 {
		id, seq = e.ID, 1 // it is the only one of its contact
	}
	key := contactDay{id, incident.DayOf(e.Time)}
	n, ok := b.contacts[key]
	if !ok {
		n = int32(len(b.Contacts))
		b.contacts[key] = n
		b.Contacts = append(b.Contacts, Contact{ID: id, Day: key.day, Offender: offender, Host: b.host(e), First: math.MaxInt64, Last: math.MinInt64})
	}
	c := &b.Contacts[n]
	latest := seq >= c.Seqs.Top
	if !c.Seqs.Add(seq, e.Silenced != "") {
		b.Repeats++
		return
	}
	if latest {
		c.Total, c.Offender, c.Host = sums(e), offender, b.host(e)
	}
	first := e.ContactFirstSeen
	if first.IsZero() || first.After(e.Time) {
		first = e.Time
	}
	c.First, c.Last = min(c.First, first.Unix()), max(c.Last, e.Time.Unix())
	c.Worst = max(c.Worst, min(e.Severity, event.Critical))
	c.Flags |= flags(e)
	c.Counts = max(1, c.Counts, e.Ports, e.Hosts)
	c.Ports = max(c.Ports, e.Ports)
	if e.Direction != event.Transit {
		c.HostCount = max(c.HostCount, e.Hosts)
	}
	c.service(e)
}

// service notes what the contact was made to, if that is one service.
func (c *Contact) service(e *event.Event) {
	if c.Service = e.HasProtocol && (!e.Folded || e.ServicePort != 0); c.Service {
		c.Protocol, c.Port = e.Protocol, e.ServicePort
	}
}

// host gives the number of the host of ours, -1 where there are many, or none: of a contact in
// transit the other end is not ours.
func (b *Batch) host(e *event.Event) int32 {
	if !e.Local.IsValid() || e.Direction == event.Transit {
		return -1
	}
	h := incident.Host{Site: b.Text(b.note(e.Site, maxName)), Addr: e.Local.Unmap().WithZone("")}
	n, ok := b.hosts[h]
	if !ok {
		n = int32(len(b.Hosts))
		b.hosts[h] = n
		b.Hosts = append(b.Hosts, h)
	}
	return n
}

// sums gives the counters of an event from our side.
func sums(e *event.Event) incident.Sums {
	s := incident.Sums{Flows: e.Flows, PacketsOut: e.Packets, PacketsIn: e.PacketsBack, BytesOut: e.Bytes, BytesIn: e.BytesBack}
	if e.Role.IsSrc() {
		s.PacketsOut, s.PacketsIn, s.BytesOut, s.BytesIn = s.PacketsIn, s.PacketsOut, s.BytesIn, s.BytesOut
	}
	return s
}

// flags gives the flags of an event.
func flags(e *event.Event) (f Flags) {
	set := func(on bool, which Flags) {
		if on {
			f |= which
		}
	}
	called := e.Direction == event.Outbound || e.Direction == event.Internal && !e.Role.IsSrc()
	set(called, Called)
	set(e.Answered == event.AnsweredYes, Answered)
	set(called && e.Answered == event.AnsweredYes, CalledAnswered)
	set(e.Direction == event.Inbound, Inbound)
	set(e.Direction == event.Outbound, Outbound)
	set(e.Direction == event.Internal, Internal)
	set(e.Direction == event.Transit, Transit)
	set(e.Blocked, Blocked)
	set(e.Refused, Refused)
	set(e.Retro, Retro)
	set(e.HostsCapped && e.Direction != event.Transit, MoreHosts)
	set(e.PortsCapped, MorePorts)
	set(e.Folded, Folded)
	return f
}
