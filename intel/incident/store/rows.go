package store

import (
	"database/sql"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// columns makes columns of one kind.
func columns(kind database.Kind, names ...string) []database.Column {
	out := make([]database.Column, len(names))
	for i, n := range names {
		out[i] = database.Column{Name: n, Kind: kind}
	}
	return out
}

// join puts columns together.
func join(parts ...[]database.Column) (all []database.Column) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// movingColumns change with every contact; of the indexes only those of the last contact have
// one of them.
var movingColumns = []string{"last_seen", "flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "bytes", "contacts",
	"folded_hosts", "ports", "folded_ports", "score", "called", "silenced", "listed"}

// keyColumns have indexes that lists need, and change rarely, see row.keys.
var keyColumns = []string{"first_seen", "last_day", "days", "hosts", "worst", "flags", "country", "as_number", "rank", "flows_key", "bytes_key"}

// The tables that are written in batches.
var (
	// Only what changes with contacts is replaced: an index costs a page even when its column
	// gets the same value again. State and verdict see keepState.
	incidentTable = &database.Table{Name: "incident", Key: 1, Columns: join(
		columns(database.Int, "id"),
		columns(database.Bytes, "offender"),
		columns(database.Int, "state", "since", "first_seen", "last_seen", "days", "last_day",
			"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "bytes", "contacts", "hosts", "folded_hosts",
			"ports", "folded_ports", "worst", "score", "called", "flags", "silenced", "verdict"),
		columns(database.Text, "country"),
		columns(database.Int, "as_number", "listed", "rank", "flows_key", "bytes_key")),
		Conflict: replaced(movingColumns...)}
	// wholeTable replaces the columns of indexes as well: PostgreSQL writes all indexes of a row
	// in any case.
	wholeTable = &database.Table{Name: "incident", Key: 1, Columns: incidentTable.Columns, Conflict: replaced(append(keyColumns, movingColumns...)...)}
	// numberTable finds the number of an incident.
	numberTable = &database.Table{Name: "incident", Key: 1, Columns: join(columns(database.Bytes, "offender"), columns(database.Int, "id"))}
	textTable   = &database.Table{Name: "incident_text", Key: 1, Columns: join(
		columns(database.Int, "incident"),
		columns(database.Text, "owner", "reason"),
		columns(database.Bytes, "exporters"))}
	hostTable = &database.Table{Name: "host", Key: 2, Columns: join(
		columns(database.Bytes, "address"), columns(database.Text, "site"), columns(database.Int, "id")), Conflict: "nothing"}
	shareTable = &database.Table{Name: "incident_host", Key: 2, Columns: columns(database.Int, "incident", "host",
		"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "first_seen", "last_seen", "days", "worst", "flags")}
	dayTable = &database.Table{Name: "incident_day", Key: 2, Columns: columns(database.Int, "day", "incident", "flows", "bytes_out", "bytes_in"),
		Conflict: addDay("incident_day")}
	hostDayTable = &database.Table{Name: "host_day", Key: 2, Columns: columns(database.Int, "day", "host", "flows", "bytes_out", "bytes_in"),
		Conflict: addDay("host_day")}
	serviceTable = &database.Table{Name: "incident_service", Key: 2, Columns: columns(database.Int, "incident", "service", "flows"),
		Conflict: added("incident_service", "flows")}
	feedTable = &database.Table{Name: "feed", Key: 1, Columns: join(
		columns(database.Text, "name"), columns(database.Int, "id")), Conflict: "nothing"}
	listingTable = &database.Table{Name: "incident_feed", Key: 4, Columns: join(
		columns(database.Int, "incident", "feed"), columns(database.Bytes, "low"), columns(database.Int, "bits"),
		columns(database.Text, "category", "ref", "description", "tlp"), columns(database.Int, "score", "first_seen", "last_seen")),
		Conflict: `category = excluded.category, ref = excluded.ref, description = excluded.description, tlp = excluded.tlp, score = excluded.score,
			first_seen = {least}(incident_feed.first_seen, excluded.first_seen), last_seen = {greatest}(incident_feed.last_seen, excluded.last_seen)`}
	alertTable = &database.Table{Name: "alert", Key: 1, Columns: join(
		columns(database.Bytes, "id"), columns(database.Int, "time"), columns(database.Text, "name"), columns(database.Int, "severity"),
		columns(database.Bytes, "offender"), columns(database.Text, "reason", "tlp")), Conflict: "nothing"}
	contactTable = &database.Table{Name: "contact", Key: 1, Columns: join(
		columns(database.Bytes, "id"),
		columns(database.Int, "top", "seen", "silenced", "flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "counts", "last_seen"))}
)

func replaced(names ...string) string {
	set := make([]string, len(names))
	for i, n := range names {
		set[i] = n + " = excluded." + n
	}
	return strings.Join(set, ", ")
}

func addDay(table string) string { return added(table, "flows", "bytes_out", "bytes_in") }

// added adds new values to those that are there, up to the greatest number that there is:
// beyond it SQLite goes on with fractions, and PostgreSQL refuses.
func added(table string, names ...string) string {
	set := make([]string, len(names))
	for i, n := range names {
		old, more := table+"."+n, "excluded."+n
		set[i] = n + " = CASE WHEN " + old + " > 9223372036854775807 - " + more + " THEN 9223372036854775807 ELSE " + old + " + " + more + " END"
	}
	return strings.Join(set, ", ")
}

// A row is one of the table incident, with what of the other tables is written together.
type row struct {
	offender           netip.Addr
	id                 int64
	state              incident.State
	since, first, last int64
	days, lastDay      int64
	sums               incident.Sums
	contacts           int64
	hosts, foldedHosts int64 // hosts: those in incident_host
	ports, foldedPorts int64 // likewise
	worst              event.Severity
	score              uint8
	flags              batch.Flags
	silenced           int64
	verdict            int64
	country            string
	asNumber           uint32
	listed             int64
}

// scanRow reads a row in the order of the columns of the table.
func scanRow(rows *sql.Rows) (*row, error) {
	var r row
	var offender []byte
	var hosts, ports, bytes, called int64
	var worst, score, flags, state, as, flows, po, pi, bo, bi int64
	var rank, flowsKey, bytesKey int64 // made of the others
	err := rows.Scan(&r.id, &offender, &state, &r.since, &r.first, &r.last, &r.days, &r.lastDay, &flows, &po, &pi, &bo, &bi, &bytes,
		&r.contacts, &hosts, &r.foldedHosts, &ports, &r.foldedPorts, &worst, &score, &called, &flags, &r.silenced, &r.verdict,
		&r.country, &as, &r.listed, &rank, &flowsKey, &bytesKey)
	r.offender, r.state, r.worst, r.score, r.flags = addr(offender), incident.State(state), event.Severity(worst), uint8(score), batch.Flags(flags)
	r.sums = incident.Sums{Flows: uint64(flows), PacketsOut: uint64(po), PacketsIn: uint64(pi), BytesOut: uint64(bo), BytesIn: uint64(bi)}
	r.hosts, r.ports, r.asNumber = hosts-r.foldedHosts, ports-r.foldedPorts, uint32(as)
	return &r, err
}

// values appends the row in that order.
func (r *row) values(out []any) []any {
	called := int64(0)
	if r.flags&batch.CalledAnswered != 0 {
		called = 1
	}
	s := &r.sums
	return append(out, r.id, key(r.offender), int64(r.state), r.since, r.first, r.last, r.days, r.lastDay,
		database.Count(s.Flows), database.Count(s.PacketsOut), database.Count(s.PacketsIn), database.Count(s.BytesOut), database.Count(s.BytesIn),
		database.Count(s.Bytes()), r.contacts, r.hosts+r.foldedHosts, r.foldedHosts, r.ports+r.foldedPorts, r.foldedPorts,
		int64(r.worst), int64(r.score), called, int64(r.flags), r.silenced, r.verdict, r.country, int64(r.asNumber), r.listed,
		incident.RankKey(r.incident()), incident.SizeKey(s.Flows), incident.SizeKey(s.Bytes()))
}

// keys gives the values of keyColumns.
func (r *row) keys() [11]any {
	return [11]any{r.first, r.lastDay, r.days, r.hosts + r.foldedHosts, int64(r.worst), int64(r.flags), r.country, int64(r.asNumber),
		incident.RankKey(r.incident()), incident.SizeKey(r.sums.Flows), incident.SizeKey(r.sums.Bytes())}
}

// incident makes the incident of a row, without its texts.
func (r *row) incident() *incident.Incident {
	has := func(f batch.Flags) bool { return r.flags&f != 0 }
	return &incident.Incident{
		ID: r.id, Offender: r.offender, State: r.state, Since: at(r.since), First: at(r.first), Last: at(r.last), Days: int(r.days), Sums: r.sums,
		Contacts: uint64(r.contacts), Hosts: int(r.hosts + r.foldedHosts), MoreHosts: has(batch.MoreHosts),
		Ports: int(r.ports + r.foldedPorts), MorePorts: has(batch.MorePorts), Worst: r.worst, Score: r.score,
		Called: has(batch.CalledAnswered), Answered: has(batch.Answered), Inbound: has(batch.Inbound), Outbound: has(batch.Outbound),
		Internal: has(batch.Internal), Transit: has(batch.Transit), Blocked: has(batch.Blocked), Refused: has(batch.Refused), Retro: has(batch.Retro),
		Silenced: uint64(r.silenced), Country: r.country, ASNumber: r.asNumber,
	}
}
