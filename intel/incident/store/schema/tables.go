package schema

import (
	"strings"

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

// KeyColumns have indexes that lists need, and change rarely, see row.keys.
var KeyColumns = []string{"first_seen", "last_day", "days", "hosts", "worst", "flags", "country", "as_number", "rank", "flows_key", "bytes_key"}

// The tables that are written in batches.
var (
	// Only what changes with contacts is replaced: an index costs a page even when its column
	// gets the same value again. State and verdict see keepState.
	Incident = &database.Table{Name: "incident", Key: 1, Columns: join(
		columns(database.Int, "id"),
		columns(database.Bytes, "offender"),
		columns(database.Int, "state", "since", "first_seen", "last_seen", "days", "last_day",
			"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "bytes", "contacts", "hosts", "folded_hosts",
			"ports", "folded_ports", "worst", "score", "called", "flags", "silenced", "verdict"),
		columns(database.Text, "country"),
		columns(database.Int, "as_number", "listed", "rank", "flows_key", "bytes_key")),
		Conflict: replaced(movingColumns...)}
	// WholeIncident replaces the columns of indexes as well: PostgreSQL writes all indexes of a row
	// in any case.
	WholeIncident = &database.Table{Name: "incident", Key: 1, Columns: Incident.Columns, Conflict: replaced(append(KeyColumns, movingColumns...)...)}
	// IncidentNumber finds the number of an incident.
	IncidentNumber = &database.Table{Name: "incident", Key: 1, Columns: join(columns(database.Bytes, "offender"), columns(database.Int, "id"))}
	IncidentText   = &database.Table{Name: "incident_text", Key: 1, Columns: join(
		columns(database.Int, "incident"),
		columns(database.Text, "owner", "reason"),
		columns(database.Bytes, "exporters"))}
	Host = &database.Table{Name: "host", Key: 2, Columns: join(
		columns(database.Bytes, "address"), columns(database.Text, "site"), columns(database.Int, "id")), Conflict: "nothing"}
	IncidentHost = &database.Table{Name: "incident_host", Key: 2, Columns: columns(database.Int, "incident", "host",
		"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "first_seen", "last_seen", "days", "worst", "flags")}
	IncidentDay = &database.Table{Name: "incident_day", Key: 2, Columns: columns(database.Int, "day", "incident", "flows", "bytes_out", "bytes_in"),
		Conflict: addDay("incident_day")}
	HostDay = &database.Table{Name: "host_day", Key: 2, Columns: columns(database.Int, "day", "host", "flows", "bytes_out", "bytes_in"),
		Conflict: addDay("host_day")}
	IncidentService = &database.Table{Name: "incident_service", Key: 2, Columns: columns(database.Int, "incident", "service", "flows"),
		Conflict: added("incident_service", "flows")}
	Feed = &database.Table{Name: "feed", Key: 1, Columns: join(
		columns(database.Text, "name"), columns(database.Int, "id")), Conflict: "nothing"}
	IncidentFeed = &database.Table{Name: "incident_feed", Key: 4, Columns: join(
		columns(database.Int, "incident", "feed"), columns(database.Bytes, "low"), columns(database.Int, "bits"),
		columns(database.Text, "category", "ref", "description", "tlp"), columns(database.Int, "score", "first_seen", "last_seen")),
		Conflict: `category = excluded.category, ref = excluded.ref, description = excluded.description, tlp = excluded.tlp, score = excluded.score,
			first_seen = {least}(incident_feed.first_seen, excluded.first_seen), last_seen = {greatest}(incident_feed.last_seen, excluded.last_seen)`}
	Alert = &database.Table{Name: "alert", Key: 1, Columns: join(
		columns(database.Bytes, "id"), columns(database.Int, "time"), columns(database.Text, "name"), columns(database.Int, "severity"),
		columns(database.Bytes, "offender"), columns(database.Text, "reason", "tlp"), columns(database.Bytes, "host"), columns(database.Text, "evidence")), Conflict: "nothing"}
	Contact = &database.Table{Name: "contact", Key: 1, Columns: join(
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

// HostSum has the sums of each host: the rows of incident_host together, so that a list
// of hosts need not add them up.
var HostSum = &database.Table{Name: "host_sum", Key: 1, Columns: columns(database.Int, "host", "offenders",
	"flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "first_seen", "last_seen", "days", "worst", "flags")}

// Network has the names of autonomous systems: one of each, so that a text is looked for
// among a few thousand names and not in every incident.
var Network = &database.Table{Name: "network", Key: 1, Columns: join(columns(database.Int, "as_number"), columns(database.Text, "name"))}

// Pulse has what each run of the program did in each hour. Counts never get smaller.
var Pulse = &database.Table{Name: "pulse", Key: 2, Columns: join(
	columns(database.Int, "hour", "run", "minutes", "flows", "lost", "hits", "worst"), columns(database.Text, "findings")),
	Conflict: `minutes = {greatest}(pulse.minutes, excluded.minutes), flows = {greatest}(pulse.flows, excluded.flows), lost = {greatest}(pulse.lost, excluded.lost),
		hits = {greatest}(pulse.hits, excluded.hits), worst = excluded.worst, findings = excluded.findings`}
