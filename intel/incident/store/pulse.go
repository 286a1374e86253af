package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/reader"
)

// maxFinding is the bytes of the text of a finding.
const maxFinding = 200

// pulseTable has what each run of the program did in each hour. Counts never get smaller.
var pulseTable = &database.Table{Name: "pulse", Key: 2, Columns: join(
	columns(database.Int, "hour", "run", "minutes", "flows", "lost", "hits", "worst"), columns(database.Text, "findings")),
	Conflict: `minutes = {greatest}(pulse.minutes, excluded.minutes), flows = {greatest}(pulse.flows, excluded.flows), lost = {greatest}(pulse.lost, excluded.lost),
		hits = {greatest}(pulse.hits, excluded.hits), worst = excluded.worst, findings = excluded.findings`}

// merged is the run of hours of which the rows of all runs were put together.
const merged = 0

// Beat writes what a run of the program has done in some hours, in a transaction of its own. It
// is given totals of the run, so that they may be written again when it is not certain whether
// an earlier try has succeeded. The number of a run is above 0.
func (s *Store) Beat(ctx context.Context, run int64, hours []incident.HourPulse) error {
	var values []any
	for i := range hours {
		values = pulseValues(values, run, hours[i].Hour.Unix(), &hours[i].Pulse)
	}
	return s.writes(ctx, func(w *writing) error { return w.Put(pulseTable, values) })
}

func pulseValues(out []any, run, hour int64, p *incident.Pulse) []any {
	var texts []string
	for _, f := range p.Findings[:min(len(p.Findings), incident.MaxFindings)] {
		texts = append(texts, string(fit.AppendPlain(nil, f, maxFinding)))
	}
	worst := int64(max(0, slices.Index(incident.Worsts[:], p.Worst)))
	return append(out, hour, run, int64(p.Minutes), database.Count(p.Flows), database.Count(p.Lost), database.Count(p.Hits), worst, strings.Join(texts, "\n"))
}

// pulseKeep is after how many days the rows of an hour are put together: a run that could not
// write for so long has given up these hours.
const pulseKeep = 40

// mergePulses puts the rows of hours before a time together that have several: a program that
// is started again and again must not fill the table.
func (w *writing) mergePulses(before int64) error {
	hours, err := w.ids("SELECT hour FROM pulse WHERE hour < $1 GROUP BY hour HAVING count(*) > 1 ORDER BY hour LIMIT $2", before, int64(step))
	if err != nil {
		return err
	}
	for _, hour := range hours {
		var all incident.Pulse
		err := w.Each("SELECT "+reader.PulseColumns+" FROM pulse WHERE hour = $1 ORDER BY worst DESC, run", func(r *sql.Rows) error {
			p, err := reader.ScanPulse(r)
			all.Add(p.Pulse)
			return err
		}, hour)
		if err != nil {
			return err
		}
		if _, err := w.Exec("DELETE FROM pulse WHERE hour = $1", hour); err != nil {
			return err
		}
		if err := w.Put(pulseTable, pulseValues(nil, merged, hour, &all)); err != nil {
			return fmt.Errorf("pulse: %w", err)
		}
	}
	return nil
}
