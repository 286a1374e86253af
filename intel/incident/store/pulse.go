package store

import (
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// maxFindings is how many texts of an hour are kept.
const maxFindings = 3

// pulse adds a pulse to that of the hour: counts are summed, the worst findings stay.
func (w *writing) pulse(p incident.Pulse) error {
	if p.Minutes == 0 && p.Flows == 0 && p.Lost == 0 && p.Hits == 0 && len(p.Findings) == 0 {
		return nil
	}
	hour := w.now - w.now%3600
	worst := int64(max(0, slices.Index(incident.Worsts[:], p.Worst)))
	var had int64
	var texts string
	err := w.QueryRow("SELECT worst, findings FROM pulse WHERE hour = $1", hour).Scan(&had, &texts)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = w.Exec(`INSERT INTO pulse (hour, minutes, flows, lost, hits, worst, findings) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (hour) DO UPDATE SET minutes = {least}(60, pulse.minutes + excluded.minutes), flows = pulse.flows + excluded.flows,
		lost = pulse.lost + excluded.lost, hits = pulse.hits + excluded.hits, worst = excluded.worst, findings = excluded.findings`,
		hour, int64(p.Minutes), database.Count(p.Flows), database.Count(p.Lost), database.Count(p.Hits), max(worst, had), findings(texts, p.Findings, worst > had))
	return err
}

// findings puts the texts of an hour together, those of a worse finding first.
func findings(had string, more []string, worse bool) string {
	var old, fresh []string
	if had != "" {
		old = strings.Split(had, "\n")
	}
	for _, f := range more {
		fresh = append(fresh, string(fit.AppendPlain(nil, f, 200)))
	}
	all := append(old, fresh...)
	if worse {
		all = append(fresh, old...)
	}
	var out []string
	for _, f := range all {
		if f != "" && !slices.Contains(out, f) && len(out) < maxFindings {
			out = append(out, f)
		}
	}
	return strings.Join(out, "\n")
}
