package incident

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// MarshalText gives what String gives.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String gives.
func (s *State) UnmarshalText(b []byte) (err error) {
	*s, err = ParseState(string(b))
	return err
}

// A severity is one by its name.
type severity event.Severity

func (s severity) MarshalText() ([]byte, error) { return []byte(event.Severity(s).String()), nil }

func (s *severity) UnmarshalText(b []byte) error {
	v, err := parseSeverity(string(b))
	*s = severity(v)
	return err
}

// A protocol is one by its keyword.
type protocol uint8

func (p protocol) MarshalText() ([]byte, error) { return flow.AppendProtocol(nil, uint8(p)), nil }

func (p *protocol) UnmarshalText(b []byte) error {
	n, ok := flow.ParseProtocol(string(b))
	if !ok {
		return fmt.Errorf("protocol %q", short(string(b)))
	}
	*p = protocol(n)
	return nil
}

// sumsJSON are sums in JSON.
type sumsJSON struct {
	Flows      uint64 `json:"flows"`
	PacketsOut uint64 `json:"packets_out"`
	PacketsIn  uint64 `json:"packets_in"`
	BytesOut   uint64 `json:"bytes_out"`
	BytesIn    uint64 `json:"bytes_in"`
}

// incidentJSON is an incident in JSON: the keys that numbers and flags have are there always,
// texts and lists where they are not empty.
type incidentJSON struct {
	Offender netip.Addr `json:"offender"`
	State    State      `json:"state"`
	Owner    string     `json:"owner,omitempty"`
	Since    time.Time  `json:"since,omitzero"`
	Severity severity   `json:"severity"`
	Score    uint8      `json:"score"`
	Reason   string     `json:"reason,omitempty"`
	First    time.Time  `json:"first_seen"`
	Last     time.Time  `json:"last_seen"`
	Days     int        `json:"days"`
	sumsJSON
	Contacts   uint64            `json:"contacts"`
	Hosts      int               `json:"hosts"`
	MoreHosts  bool              `json:"more_hosts,omitempty"`
	Ports      int               `json:"ports"`
	MorePorts  bool              `json:"more_ports,omitempty"`
	Way        Way               `json:"what"`
	Called     bool              `json:"called"`
	Answered   bool              `json:"answered"`
	Directions []event.Direction `json:"directions,omitempty"`
	Blocked    bool              `json:"blocked"`
	Refused    bool              `json:"refused"`
	Retro      bool              `json:"retro"`
	Silenced   uint64            `json:"silenced"`
	Country    string            `json:"country,omitempty"`
	ASNumber   uint32            `json:"as_number,omitempty"`
	ASName     string            `json:"as_name,omitempty"`
	Exporters  []netip.Addr      `json:"exporters,omitempty"`
	Listings   []listingJSON     `json:"listings,omitempty"`
	HostList   []shareJSON       `json:"host_list,omitempty"`
	Services   []serviceJSON     `json:"services,omitempty"`
	Daily      []dayJSON         `json:"daily,omitempty"`
	Notes      []noteJSON        `json:"notes,omitempty"`
	Audit      []entryJSON       `json:"audit,omitempty"`
}

type listingJSON struct {
	Feed        string       `json:"feed"`
	Category    string       `json:"category,omitempty"`
	Indicator   netip.Prefix `json:"indicator"`
	Ref         string       `json:"ref,omitempty"`
	Description string       `json:"description,omitempty"`
	TLP         string       `json:"tlp,omitempty"`
	Score       uint8        `json:"score"`
	First       time.Time    `json:"first_seen,omitzero"`
	Last        time.Time    `json:"last_seen,omitzero"`
}

type hostJSON struct {
	Host netip.Addr `json:"host"`
	Site string     `json:"site,omitempty"`
}

type shareJSON struct {
	hostJSON
	Severity   severity          `json:"severity"`
	Way        Way               `json:"what"`
	Called     bool              `json:"called"`
	Answered   bool              `json:"answered"`
	Directions []event.Direction `json:"directions,omitempty"`
	First      time.Time         `json:"first_seen"`
	Last       time.Time         `json:"last_seen"`
	Days       int               `json:"days"`
	sumsJSON
}

type serviceJSON struct {
	Protocol protocol `json:"protocol"`
	Port     uint16   `json:"port"`
	Flows    uint64   `json:"flows"`
}

type dayJSON struct {
	Day      date   `json:"day"`
	Flows    uint64 `json:"flows"`
	BytesOut uint64 `json:"bytes_out"`
	BytesIn  uint64 `json:"bytes_in"`
}

type noteJSON struct {
	Time   time.Time `json:"time"`
	Author string    `json:"author"`
	Text   string    `json:"text"`
}

type entryJSON struct {
	Time   time.Time `json:"time"`
	Author string    `json:"author"`
	Act    string    `json:"act"`
	Detail string    `json:"detail,omitempty"`
}

type hostRowJSON struct {
	shareJSON
	Offenders int          `json:"offenders"`
	Top       []netip.Addr `json:"top,omitempty"`
}

// A date is a day by its date.
type date int32

func (d date) MarshalText() ([]byte, error) {
	return DateOf(int32(d)).AppendFormat(nil, time.DateOnly), nil
}

func (d *date) UnmarshalText(b []byte) error {
	t, err := time.Parse(time.DateOnly, string(b))
	*d = date(DayOf(t))
	return err
}

// each gives what f makes of each element, nil for none.
func each[A, B any](list []A, f func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// Directions are those that the incident's contacts have.
func (i *Incident) Directions() []event.Direction { return directionsOf(i.directions()) }

// Directions are those that the host's contacts have.
func (h *HostShare) Directions() []event.Direction { return directionsOf(h.directions()) }

type directionFlag struct {
	direction event.Direction
	is        *bool
}

func (i *Incident) directions() []directionFlag {
	return []directionFlag{{event.Inbound, &i.Inbound}, {event.Outbound, &i.Outbound}, {event.Internal, &i.Internal}, {event.Transit, &i.Transit}}
}

func (h *HostShare) directions() []directionFlag {
	return []directionFlag{{event.Inbound, &h.Inbound}, {event.Outbound, &h.Outbound}, {event.Internal, &h.Internal}}
}

func directionsOf(flags []directionFlag) (d []event.Direction) {
	for _, of := range flags {
		if *of.is {
			d = append(d, of.direction)
		}
	}
	return d
}

func setDirections(flags []directionFlag, list []event.Direction) {
	for _, of := range flags {
		*of.is = slices.Contains(list, of.direction)
	}
}

// MarshalJSON gives an incident as an object whose keys are the words of the events. The id
// is left out: it means nothing outside one store.
func (i Incident) MarshalJSON() ([]byte, error) {
	return json.Marshal(incidentJSON{
		i.Offender, i.State, i.Owner, i.Since, severity(i.Worst), i.Score, i.Reason, i.First, i.Last, i.Days, sumsJSON(i.Sums),
		i.Contacts, i.Hosts, i.MoreHosts, i.Ports, i.MorePorts, i.Way(), i.Called, i.Answered, i.Directions(), i.Blocked, i.Refused, i.Retro, i.Silenced,
		i.Country, i.ASNumber, i.ASName, i.Exporters,
		each(i.Listings, func(l Listing) listingJSON { return listingJSON(l) }),
		each(i.HostList, shareToJSON),
		each(i.Services, func(s Service) serviceJSON { return serviceJSON{protocol(s.Protocol), s.Port, s.Flows} }),
		each(i.Daily, func(d Day) dayJSON { return dayJSON{date(d.Day), d.Flows, d.BytesOut, d.BytesIn} }),
		each(i.Notes, func(n Note) noteJSON { return noteJSON(n) }),
		each(i.Audit, func(e Entry) entryJSON { return entryJSON(e) }),
	})
}

// UnmarshalJSON reads what MarshalJSON gives.
func (i *Incident) UnmarshalJSON(b []byte) error {
	var j incidentJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*i = Incident{
		Offender: j.Offender, State: j.State, Owner: j.Owner, Since: j.Since, Worst: event.Severity(j.Severity), Score: j.Score, Reason: j.Reason,
		First: j.First, Last: j.Last, Days: j.Days, Sums: Sums(j.sumsJSON), Contacts: j.Contacts, Hosts: j.Hosts, MoreHosts: j.MoreHosts,
		Ports: j.Ports, MorePorts: j.MorePorts, Called: j.Called, Answered: j.Answered, Blocked: j.Blocked, Refused: j.Refused, Retro: j.Retro,
		Silenced: j.Silenced, Country: j.Country, ASNumber: j.ASNumber, ASName: j.ASName, Exporters: j.Exporters,
		Listings: each(j.Listings, func(l listingJSON) Listing { return Listing(l) }),
		HostList: each(j.HostList, shareOfJSON),
		Services: each(j.Services, func(s serviceJSON) Service { return Service{uint8(s.Protocol), s.Port, s.Flows} }),
		Daily:    each(j.Daily, func(d dayJSON) Day { return Day{int32(d.Day), d.Flows, d.BytesOut, d.BytesIn} }),
		Notes:    each(j.Notes, func(n noteJSON) Note { return Note(n) }),
		Audit:    each(j.Audit, func(e entryJSON) Entry { return Entry(e) }),
	}
	setDirections(i.directions(), j.Directions)
	return nil
}

func shareToJSON(h HostShare) shareJSON {
	return shareJSON{hostJSON{h.Addr, h.Site}, severity(h.Worst), h.Way(), h.Called, h.Answered, h.Directions(), h.First, h.Last, h.Days, sumsJSON(h.Sums)}
}

func shareOfJSON(j shareJSON) HostShare {
	h := HostShare{Host: Host{j.Site, j.Host}, Sums: Sums(j.sumsJSON), First: j.First, Last: j.Last, Days: j.Days,
		Worst: event.Severity(j.Severity), Called: j.Called, Answered: j.Answered}
	setDirections(h.directions(), j.Directions)
	return h
}

// MarshalJSON gives a host as an object with the words of an incident.
func (h HostRow) MarshalJSON() ([]byte, error) {
	return json.Marshal(hostRowJSON{shareToJSON(h.HostShare), h.Offenders, h.Top})
}

// UnmarshalJSON reads what MarshalJSON gives.
func (h *HostRow) UnmarshalJSON(b []byte) error {
	var j hostRowJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*h = HostRow{shareOfJSON(j.shareJSON), j.Offenders, j.Top}
	return nil
}

// Columns are the names of the cells of an incident in a table.
func Columns() []string {
	return []string{"offender", "state", "owner", "since", "severity", "score", "reason", "first_seen", "last_seen", "days",
		"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "contacts", "hosts", "more_hosts", "ports", "more_ports",
		"what", "called", "answered", "directions", "blocked", "refused", "retro", "silenced", "country", "as_number", "as_name", "exporters"}
}

// Cells gives an incident as texts in the order of Columns: the values of the JSON, lists with
// a blank between their elements. None of them is a formula to a spreadsheet.
func (i *Incident) Cells() []string {
	as := ""
	if i.ASNumber != 0 {
		as = strconv.FormatUint(uint64(i.ASNumber), 10)
	}
	return cells(i.Offender, i.State, i.Owner, stamp(i.Since), i.Worst, i.Score, i.Reason, stamp(i.First), stamp(i.Last), i.Days,
		i.Flows, i.PacketsOut, i.PacketsIn, i.BytesOut, i.BytesIn, i.Contacts, i.Hosts, i.MoreHosts, i.Ports, i.MorePorts,
		i.Way(), i.Called, i.Answered, list(i.Directions()), i.Blocked, i.Refused, i.Retro, i.Silenced, i.Country, as, i.ASName, list(i.Exporters))
}

// HostColumns are the names of the cells of a host in a table.
func HostColumns() []string {
	return []string{"host", "site", "severity", "what", "called", "answered", "directions", "first_seen", "last_seen", "days",
		"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "offenders", "top"}
}

// Cells gives a host as texts in the order of HostColumns.
func (h *HostRow) Cells() []string {
	return cells(h.Addr, h.Site, h.Worst, h.Way(), h.Called, h.Answered, list(h.Directions()), stamp(h.First), stamp(h.Last), h.Days,
		h.Flows, h.PacketsOut, h.PacketsIn, h.BytesOut, h.BytesIn, h.Offenders, list(h.Top))
}

func cells(values ...any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fit.Cell(fmt.Sprint(v))
	}
	return out
}

func list[T any](values []T) string { return strings.Trim(fmt.Sprint(values), "[]") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
