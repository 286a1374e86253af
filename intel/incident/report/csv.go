package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Tables writes the report as CSV: create is called for each table with the name of its file.
// No cell is a formula to a spreadsheet.
func (r *Report) Tables(create func(name string) (io.WriteCloser, error)) error {
	for _, t := range r.tables() {
		if err := t.write(create); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// A table is one CSV file; its first row has the names of the columns.
type table struct {
	name string
	rows [][]string
}

func (t *table) write(create func(string) (io.WriteCloser, error)) error {
	f, err := create(t.name)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	for _, row := range t.rows {
		for i := range row {
			row[i] = fit.Cell(row[i])
		}
		_ = w.Write(row) // Flush has the error
	}
	w.Flush()
	if err := w.Error(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func (r *Report) tables() []*table {
	f := &r.Figures
	hosts := &table{"hosts.csv", [][]string{incident.HostColumns()}}
	for i := range r.Hosts.Rows {
		hosts.rows = append(hosts.rows, r.Hosts.Rows[i].Cells())
	}
	days := newTable("days.csv", "day offenders flows bytes_out bytes_in")
	for _, d := range f.Days {
		days.add(d.Day, d.Offenders, d.Flows, d.BytesOut, d.BytesIn)
	}
	attempts := newTable("attempts.csv", "from to offenders")
	for _, b := range f.Attempts {
		attempts.add(b.From, b.To, b.Offenders)
	}
	places := newTable("places.csv", "country as_number as_name offenders flows")
	for _, p := range slices.Concat(f.Countries, f.Networks) {
		places.add(p.Country, p.ASNumber, p.ASName, p.Offenders, p.Flows)
	}
	alerts := newTable("alerts.csv", "alert count severity first_seen last_seen reason")
	for _, a := range f.Alerts {
		alerts.add(a.Name, a.Count, a.Severity, stamp(a.First), stamp(a.Last), a.Reason)
	}
	rules := newTable("rules.csv", "rule count threshold usual severity alerts first_seen last_seen group reason sources ports")
	ruleAttempts := newTable("rule_attempts.csv", "rule group from until tries addresses times sources")
	ruleDays := newTable("rule_days.csv", "rule group day tries")
	for i := range r.Rules {
		r.Rules[i].tables(rules, ruleAttempts, ruleDays)
	}
	feeds := newTable("feeds.csv", "feed offenders unique flows confirmed false_alarms not_judged")
	for _, s := range f.Feeds {
		feeds.add(s.Feed, s.Offenders, s.Unique, s.Flows, s.Confirmed, s.FalseAlarm, s.NotJudged)
	}
	gaps := newTable("gaps.csv", "from until what")
	for _, g := range r.Alive.Gaps {
		gaps.add(stamp(g.From), stamp(g.Until), map[bool]string{true: "blind", false: "unknown"}[g.Blind])
	}
	silences := newTable("silences.csv", "id what reason author until events")
	for _, s := range r.Silences {
		silences.add(s.ID, s.What, s.Reason, s.Author, stamp(s.Until), s.Events)
	}
	return []*table{
		r.summary(), gaps, silences, hosts, incidents("attention.csv", r.Attention.Rows), incidents("new.csv", r.New.Rows),
		incidents("persistent.csv", r.Persistent.Rows), attempts, days, places, alerts, rules, ruleAttempts, ruleDays, feeds,
	}
}

// summary has one row for each figure.
func (r *Report) summary() *table {
	f, a := &r.Figures, &r.Alive
	t := newTable("summary.csv", "figure value")
	for _, row := range []struct {
		name  string
		value any
	}{
		{"sensor", r.Sensor}, {"from", stamp(r.From)}, {"until", stamp(r.Until)}, {"made", stamp(r.Made)}, {"max_tlp", r.MaxTLP},
		{"hours", a.Hours}, {"unknown_hours", a.Unknown}, {"blind_hours", a.Blind}, {"flows_received", a.Flows}, {"flows_lost", a.Lost},
		{"offenders", f.Offenders}, {"new", f.New}, {"returned", f.Returned}, {"known_before", f.KnownBefore}, {"hosts", f.Hosts},
		{"flows", f.Flows}, {"bytes_out", f.BytesOut}, {"bytes_in", f.BytesIn}, {"withheld", r.Withheld}, {"silenced", f.Silenced}, {"silenced_offenders", f.Quiet}, {"waiting", r.Attention.Total}, {"older_waiting", r.Older}, {"missing_minutes", a.Missing},
	} {
		t.add(row.name, row.value)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Severities)) {
		t.add("severity_"+name, f.Severities[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.States)) {
		t.add("state_"+name, f.States[name])
	}
	return t
}

func incidents(name string, rows []incident.Incident) *table {
	t := &table{name, [][]string{incident.Columns()}}
	for i := range rows {
		t.rows = append(t.rows, rows[i].Cells())
	}
	return t
}

func newTable(name, columns string) *table { return &table{name, [][]string{strings.Fields(columns)}} }

func (t *table) add(values ...any) {
	row := make([]string, len(values))
	for i, v := range values {
		row[i] = fmt.Sprint(v)
	}
	t.rows = append(t.rows, row)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// maxJSON bounds what Read reads.
const maxJSON = 64 << 20

// Read reads what JSON has written. Its dates are shown in a zone.
func Read(in io.Reader, zone *time.Location) (*Report, error) {
	r := &Report{zone: zone}
	err := json.NewDecoder(io.LimitReader(in, maxJSON)).Decode(r)
	return r, err
}
