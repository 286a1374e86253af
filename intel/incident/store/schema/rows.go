package schema

import (
	"database/sql"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// maxFinding is the bytes of the text of a finding.
const maxFinding = 200

// PulseValues appends a row of the table pulse.
func PulseValues(out []any, run, hour int64, p *incident.Pulse) []any {
	var texts []string
	for _, f := range p.Findings[:min(len(p.Findings), incident.MaxFindings)] {
		texts = append(texts, string(fit.AppendPlain(nil, f, maxFinding)))
	}
	worst := int64(max(0, slices.Index(incident.Worsts[:], p.Worst)))
	return append(out, hour, run, int64(p.Minutes), database.Count(p.Flows), database.Count(p.Lost), database.Count(p.Hits), worst, strings.Join(texts, "\n"))
}

// PulseColumns are the columns of the table pulse that [ScanPulse] reads.
const PulseColumns = "hour, minutes, flows, lost, hits, worst, findings"

// ScanPulse reads a row of the table pulse.
func ScanPulse(rows *sql.Rows) (h incident.HourPulse, err error) {
	var hour, worst int64
	var n [4]int64
	var findings string
	err = rows.Scan(&hour, &n[0], &n[1], &n[2], &n[3], &worst, &findings)
	h = incident.HourPulse{Hour: time.Unix(hour, 0).UTC(), Pulse: incident.Pulse{Minutes: int(n[0]), Flows: uint64(n[1]), Lost: uint64(n[2]), Hits: uint64(n[3])}}
	h.Worst = incident.Worsts[min(max(int(worst), 0), len(incident.Worsts)-1)]
	if findings != "" {
		h.Findings = strings.Split(findings, "\n")
	}
	return h, err
}

// Exporters reads addresses that stand one after another, 16 bytes each.
func Exporters(b []byte) (all []netip.Addr) {
	for ; len(b) >= 16; b = b[16:] {
		all = append(all, netip.AddrFrom16([16]byte(b[:16])).Unmap())
	}
	return all
}
