package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// incidentForm prints incidents.
func incidentForm() form[incident.Incident] {
	return form[incident.Incident]{
		none:   "no incident: no listed address has been in contact with your hosts, as far as is kept",
		header: incident.Columns(), fields: (*incident.Incident).Cells, table: incidentTable,
	}
}

func figure[N int | uint8 | uint64](n N) string { return fmt.Sprint(n) }

// looks are those of the severities.
var looks = [...]style{event.Low: normal, event.Medium: normal, event.High: caution, event.Critical: alarm}

func severityCell(s event.Severity) line { return line{{s.String(), looks[min(s, event.Critical)]}} }

func incidentTable(rows []incident.Incident, now time.Time) table {
	t := table{columns: []column{
		{heading: "severity"}, {heading: "offender"}, {heading: "what"}, {heading: "state", rank: 2}, {heading: "days", right: true}, {heading: "hosts", right: true},
		{heading: "last"}, {heading: "sent", right: true, rank: 1}, {heading: "received", right: true, rank: 5}, {heading: "first", rank: 4}, {heading: "flows", right: true, rank: 6},
		{heading: "net", rank: 7}, {heading: "reason", rank: 8, min: 20, max: 80},
	}}
	for k := range rows {
		i := &rows[k]
		state := i.State.String()
		if i.State == incident.Taken {
			state = show.Plain(i.Owner, 16)
		}
		net := i.Country
		if i.ASNumber > 0 {
			net = strings.TrimSpace(fmt.Sprintf("%s AS%d", net, i.ASNumber))
		}
		hosts := figure(i.Hosts)
		if i.MoreHosts {
			hosts = ">" + hosts
		}
		t.rows = append(t.rows, []line{
			severityCell(i.Worst), {{i.Offender.String(), strong}}, whatCell(i.Way()), plain(state), plain(figure(i.Days)), plain(hosts),
			plain(when(i.Last, now)), plain(observe.Size(i.BytesOut)), plain(observe.Size(i.BytesIn)), plain(when(i.First, now)), plain(figure(i.Flows)), plain(show.Plain(net, 20)), plain(show.Plain(i.Reason, 200)),
		})
	}
	return t
}

// ways are the looks of what happened that stands out.
var ways = map[incident.Way]style{incident.WayCalled: alarm, incident.WayTried: caution, incident.WayAnswered: caution}

// whatCell shows in a word what happened.
func whatCell(w incident.Way) line { return line{{string(w), ways[w]}} }

// when gives a time in few columns: the hour for today, else the day.
func when(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format(time.DateOnly)
}

// hostForm prints hosts of ours.
func hostForm() form[incident.HostRow] {
	return form[incident.HostRow]{
		none:   "no host: none of yours has been in contact with a listed address, as far as is kept",
		header: incident.HostColumns(), fields: (*incident.HostRow).Cells, table: hostTable,
	}
}

func hostTable(rows []incident.HostRow, now time.Time) table {
	t := table{columns: []column{
		{heading: "severity"}, {heading: "host"}, {heading: "site", rank: 3}, {heading: "what"}, {heading: "days", right: true}, {heading: "offenders", right: true},
		{heading: "last"}, {heading: "sent", right: true, rank: 1}, {heading: "received", right: true, rank: 5}, {heading: "first", rank: 4}, {heading: "flows", right: true, rank: 6},
		{heading: "worst offender", rank: 2},
	}}
	for k := range rows {
		h := &rows[k]
		top := ""
		if len(h.Top) > 0 {
			top = h.Top[0].String()
		}
		t.rows = append(t.rows, []line{
			severityCell(h.Worst), {{addrText(h.Addr), strong}}, plain(show.Plain(h.Site, 20)), whatCell(h.Way()), plain(figure(h.Days)), plain(figure(h.Offenders)),
			plain(when(h.Last, now)), plain(observe.Size(h.BytesOut)), plain(observe.Size(h.BytesIn)), plain(when(h.First, now)), plain(figure(h.Flows)), plain(top),
		})
	}
	return t
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// bars are a few signs that show how much, where a terminal has them; the others are ASCII.
var (
	bars   = []rune("▁▂▃▄▅▆▇█")
	plains = []rune(".:-=+*#@")
)

// dayLine shows the flows of the last days, the oldest first, one sign a day: by powers of
// four, so that a beacon and a flood both fit.
func dayLine(daily []incident.Day, today int32, days int, utf8 bool) string {
	signs := plains
	if utf8 {
		signs = bars
	}
	out := []rune(strings.Repeat(" ", days))
	for k := range out {
		out[k] = '_'
	}
	for _, d := range daily {
		at := int(d.Day-today) + days - 1
		if at < 0 || at >= days || d.Flows == 0 {
			continue
		}
		level := 0
		for n := d.Flows; n >= 4 && level < len(signs)-1; n /= 4 {
			level++
		}
		out[at] = signs[level]
	}
	return string(out)
}

// hostShares are the hosts of an incident as a table.
func hostShares(list []incident.HostShare, now time.Time) table {
	t := table{columns: []column{
		{heading: "host"}, {heading: "site", rank: 3}, {heading: "what"}, {heading: "severity"}, {heading: "days", right: true}, {heading: "last"}, {heading: "sent", right: true}, {heading: "received", right: true, rank: 4},
		{heading: "flows", right: true, rank: 2}, {heading: "first", rank: 1},
	}}
	for k := range list {
		h := &list[k]
		t.rows = append(t.rows, []line{
			{{addrText(h.Addr), strong}}, plain(show.Plain(h.Site, 20)), whatCell(h.Way()), severityCell(h.Worst), plain(figure(h.Days)), plain(when(h.Last, now)), plain(observe.Size(h.BytesOut)), plain(observe.Size(h.BytesIn)),
			plain(figure(h.Flows)), plain(when(h.First, now)),
		})
	}
	return t
}
