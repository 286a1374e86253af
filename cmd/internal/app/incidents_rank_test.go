package app

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// A week makes the events of one: a host that calls its control server every half an hour and
// has one hit, hosts that are scanned and have 1,544, a few in between, and the self-test.
type week struct {
	begin time.Time
	made  uint32
	all   []event.Event
}

// add makes an event of the contact number n.
func (w *week) add(n, seq int, offender, local string, after time.Duration, direction event.Direction, answered event.Answered, score uint8, flows uint64) {
	w.made++
	id := func(kind byte, n uint32) (u uuid.UUID) {
		binary.BigEndian.PutUint32(u[:], n)
		u[6], u[8], u[15] = 0x70, 0x80, kind
		return u
	}
	kind := event.KindHit
	if seq > 1 {
		kind = event.KindUpdate
	}
	e := event.Event{
		Kind: kind, ID: id(1, w.made), Contact: id(2, uint32(n)), Seq: uint32(seq), Time: w.begin.Add(after), ContactFirstSeen: w.begin, Sensor: "test",
		Offender: netip.MustParseAddr(offender), Local: netip.MustParseAddr(local), Direction: direction, Answered: answered, Score: score, Severity: event.SeverityOf(int(score)),
		Protocol: 6, HasProtocol: true, ServicePort: 443, Flows: flows, Packets: 4 * flows, Bytes: 400 * flows, Reason: "listed", Clock: "ok",
	}
	e.Src, e.Dst, e.Role = e.Offender, e.Local, flow.SideSrc
	if direction == event.Outbound {
		e.Src, e.Dst, e.Role = e.Local, e.Offender, flow.SideDst
	}
	e.Indicators = []event.Indicator{{Prefix: netip.PrefixFrom(e.Offender, 32), Feed: "acme", Score: score, Category: "c2"}}
	w.all = append(w.all, e)
}

func newWeek(begin time.Time) *week {
	w := &week{begin: begin}
	const day = 24 * time.Hour
	n := 0
	for i := range 1544 { // knocked at by scanners, day after day
		n++
		w.add(n, 1, fmt.Sprintf("62.%d.%d.%d", 16+i%4, i/200, 1+i%200), "10.1.0.10", time.Duration(i)*6*day/1544, event.Inbound, event.AnsweredNo, 18, 1)
	}
	n++
	w.add(n, 1, "62.30.0.9", "10.1.0.20", day, event.Inbound, event.AnsweredYes, 40, 9000) // a scanner that is answered, with many flows
	n++
	for i := range 74 { // calls its control server for three days
		w.add(n, i+1, "62.40.0.1", "10.1.2.77", 2*day+time.Duration(i)*time.Hour, event.Outbound, event.AnsweredYes, 95, uint64(2*i+1))
	}
	n++
	w.add(n, 1, "62.41.0.1", "10.1.2.78", 3*day, event.Outbound, event.AnsweredNo, 95, 20) // tries to, in vain, and more often
	n++
	w.add(n, 1, "62.42.0.1", "10.1.2.79", 3*day, event.Outbound, event.AnsweredYes, 50, 1)
	n++
	w.add(n, 1, "62.43.0.1", "198.51.100.9", 3*day, event.Transit, event.AnsweredYes, 95, 5000) // no end is ours
	for i := range 1000 {                                                                       // the self-test
		e := event.Event{Kind: event.KindCanary, ID: uuid.New(), Time: begin.Add(time.Duration(i) * 10 * time.Minute), Sensor: "test", Offender: netip.MustParseAddr("192.0.2.253"), Local: netip.MustParseAddr("192.0.2.254")}
		w.all = append(w.all, e)
	}
	return w
}

// TestIncidentRanking: by host and in the report, the one that beacons is the first, the one that
// is merely scanned the last, whatever their numbers of hits; what is in transit is no host of
// ours, and the self-test is nowhere.
func TestIncidentRanking(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: []}", Options{})
	events := newWeek(time.Now().AddDate(0, 0, -7)).all
	for len(events) > 0 {
		n := min(len(events), 100)
		w.sinks.publish(events[:n])
		events = events[n:]
	}
	var hosts incident.Page[incident.HostRow]
	until(t, "all hosts", func() bool {
		w.incidents.mu.Lock()
		w.incidents.fresh = time.Time{}
		w.incidents.mu.Unlock()
		if err := web.Ask(t.Context(), dir, HostsPath, &hosts); err != nil {
			t.Fatal(err)
		}
		return len(hosts.Rows) == 5 && hosts.Rows[0].Days == 4
	})
	var order []string
	for _, h := range hosts.Rows {
		order = append(order, h.Addr.String())
	}
	if want := "[10.1.2.77 10.1.2.78 10.1.2.79 10.1.0.20 10.1.0.10]"; fmt.Sprint(order) != want {
		t.Errorf("got %v, want %s", order, want)
	}
	ways := []incident.Way{incident.WayCalled, incident.WayTried, incident.WayCalled, incident.WayAnswered, incident.WayScanned}
	for i, h := range hosts.Rows {
		if h.Way() != ways[i] {
			t.Errorf("%s %s, want %s", h.Addr, h.Way(), ways[i])
		}
	}
	checkReported(t, dir, order, ways)
	first, last := hosts.Rows[0], hosts.Rows[4]
	if !first.Called || first.Flows != 147 || first.Offenders != 1 || last.Offenders != 1544 || last.Flows != 1544 || last.Called {
		t.Errorf("%+v\n%+v", first, last)
	}
	var list incident.Page[incident.Incident]
	if err := web.Ask(t.Context(), dir, IncidentsPath+"?limit=1000", &list); err != nil || list.Rows[0].Offender.String() != "62.40.0.1" {
		t.Fatalf("%v, %+v", err, list.Rows[0])
	}
	if list.Total != 1549 {
		t.Errorf("%d incidents", list.Total)
	}
	if err := web.Ask(t.Context(), dir, IncidentsPath+"/192.0.2.253", new(incident.Incident)); err == nil {
		t.Error("the self-test is an incident")
	}
}

// checkReported holds that the report has the same hosts in the same order, and nobody else.
func checkReported(t *testing.T, dir string, order []string, ways []incident.Way) {
	t.Helper()
	var r report.Report
	if err := web.Ask(t.Context(), dir, ReportPath+"?since="+time.Now().AddDate(0, 0, -9).UTC().Format(time.RFC3339), &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, h := range r.Hosts.Rows {
		got = append(got, h.Addr.String())
		if i < len(ways) && h.Way() != ways[i] {
			t.Errorf("in the report: %s %s, want %s", h.Addr, h.Way(), ways[i])
		}
	}
	if !slices.Equal(got, order) || r.Hosts.Total != len(order) || r.Figures.Hosts != len(order) || r.Figures.Offenders != 1549 {
		t.Errorf("the report has the hosts %v, %d in all, %d in its figures; %d offenders", got, r.Hosts.Total, r.Figures.Hosts, r.Figures.Offenders)
	}
	if i := r.Attention.Rows; len(i) < 2 || i[0].Offender.String() != "62.40.0.1" {
		t.Errorf("first to look at: %+v", i)
	}
}
