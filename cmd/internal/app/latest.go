package app

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// maxLatest is how many contacts and alerts a status has: more than a tall terminal shows.
const maxLatest = 50

// maxLatestFeeds is how many feeds a status names for each.
const maxLatestFeeds = 8

// A LatestStatus is a contact as its last event has it, or an alert.
type LatestStatus struct {
	Kind    event.Kind `json:"kind"` // hit, update or alert
	Contact string     `json:"contact,omitempty"`
	Time    time.Time  `json:"time"` // of receipt of what caused the event
	// FirstSeen is that of the contact; Events are those published of it so far.
	FirstSeen time.Time `json:"first_seen,omitzero"`
	Events    uint32    `json:"events,omitempty"`

	Severity  string          `json:"severity"`
	Score     uint8           `json:"score"`
	Direction event.Direction `json:"direction,omitempty"`
	Local     netip.Addr      `json:"local,omitzero"`
	Site      string          `json:"site,omitempty"` // of Local
	Offender  netip.Addr      `json:"offender,omitzero"`
	Role      string          `json:"role,omitempty"` // of the offender in the flow
	Protocol  string          `json:"protocol,omitempty"`
	// ServicePort is 0 when there is none, or more than one; ServiceLocal reports that it
	// is a port of Local, not of Offender.
	ServicePort  uint16 `json:"service_port,omitempty"`
	ServiceLocal bool   `json:"service_local,omitempty"`

	Answered event.Answered `json:"answered,omitempty"`
	Refused  bool           `json:"refused,omitempty"`
	Blocked  bool           `json:"blocked,omitempty"`
	Folded   bool           `json:"folded,omitempty"`
	Ports    uint32         `json:"ports,omitempty"`
	Hosts    uint32         `json:"hosts,omitempty"`

	// Both directions together: in a hit those of its flow, in an update those of the
	// contact so far.
	Flows   uint64 `json:"flows,omitempty"`
	Packets uint64 `json:"packets,omitempty"`
	Bytes   uint64 `json:"bytes,omitempty"`

	Feeds    []string `json:"feeds,omitempty"`
	Alert    string   `json:"alert,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Exporter string   `json:"exporter,omitempty"` // name, else address
}

// A latestList keeps the last event of each of the contacts that changed last, and the
// last alerts. What belongs to one contact takes one place, so that a chatty one drives
// out nothing.
type latestList struct {
	mu     sync.Mutex
	events []event.Event // the oldest first; events own what they hold
}

// add takes in events; canaries are in a status of their own.
func (l *latestList) add(events []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fresh []event.Event // the latest first
	for i := len(events) - 1; i >= 0 && len(fresh) < maxLatest; i-- {
		if e := &events[i]; e.Kind != event.KindCanary && !holdsContact(fresh, e.Contact) {
			fresh = append(fresh, *e)
		}
	}
	if len(fresh) == 0 {
		return
	}
	l.events = slices.DeleteFunc(l.events, func(e event.Event) bool { return holdsContact(fresh, e.Contact) })
	slices.Reverse(fresh)
	l.events = append(l.events, fresh...)
	l.events = slices.Delete(l.events, 0, max(len(l.events)-maxLatest, 0))
}

// holdsContact reports whether an event of that contact is in a list; alerts have none.
func holdsContact(list []event.Event, contact uuid.UUID) bool {
	return contact != uuid.Nil && slices.ContainsFunc(list, func(e event.Event) bool { return e.Contact == contact })
}

// list gives what is kept, by the time of what caused it, the latest first.
func (l *latestList) list() []LatestStatus {
	l.mu.Lock()
	events := slices.Clone(l.events)
	l.mu.Unlock()
	list := make([]LatestStatus, 0, len(events))
	for i := len(events) - 1; i >= 0; i-- {
		list = append(list, latestStatus(&events[i]))
	}
	// An update may be published some time after what it reports.
	slices.SortStableFunc(list, func(a, b LatestStatus) int { return b.Time.Compare(a.Time) })
	return list
}

func latestStatus(e *event.Event) LatestStatus {
	s := LatestStatus{
		Kind: e.Kind, Time: byWall(e.Time), Severity: e.Severity.String(), Score: e.Score, Offender: e.Offender,
		Alert: e.Alert, Reason: e.Reason, Exporter: e.ExporterName,
	}
	for i := range e.Indicators {
		if feed := e.Indicators[i].Feed; len(s.Feeds) < maxLatestFeeds && !slices.Contains(s.Feeds, feed) {
			s.Feeds = append(s.Feeds, feed)
		}
	}
	if s.Exporter == "" && e.Exporter.IsValid() {
		s.Exporter = e.Exporter.String()
	}
	if e.Kind == event.KindAlert {
		return s
	}
	s.Contact, s.FirstSeen, s.Events = e.Contact.String(), byWall(e.ContactFirstSeen), e.Seq
	s.Direction, s.Local, s.Role = e.Direction, e.Local, e.Role.String()
	s.Site = e.Site
	s.Answered, s.Refused, s.Blocked = e.Answered, e.Refused, e.Blocked
	s.Folded, s.Ports, s.Hosts = e.Folded, e.Ports, e.Hosts
	s.Flows, s.Packets, s.Bytes = e.Flows, e.Packets+e.PacketsBack, e.Bytes+e.BytesBack
	s.ServicePort, s.ServiceLocal = e.ServicePort, serviceIsLocal(e)
	if e.HasProtocol {
		s.Protocol = flow.ProtocolName(e.Protocol)
	}
	return s
}

// serviceIsLocal reports whether the service port of a contact is a port of the local end.
// Where both ends have it, or neither as behind NAT, it is that of who was called.
func serviceIsLocal(e *event.Event) bool {
	offender, local := e.SrcPort, e.DstPort
	if !e.Role.IsSrc() {
		offender, local = local, offender
	}
	if (offender == e.ServicePort) != (local == e.ServicePort) {
		return local == e.ServicePort
	}
	return e.Direction == event.Inbound
}
