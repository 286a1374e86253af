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
	h = incident.HourPulse{Hour: Time(hour), Pulse: incident.Pulse{Minutes: int(n[0]), Flows: uint64(n[1]), Lost: uint64(n[2]), Hits: uint64(n[3])}}
	h.Worst = incident.Worsts[min(max(int(worst), 0), len(incident.Worsts)-1)]
	if findings != "" {
		h.Findings = strings.Split(findings, "\n")
	}
	return h, err
}

// Key is an address as the tables have it.
func Key(a netip.Addr) []byte {
	b := a.As16()
	return b[:]
}

// Addr reads an address of the tables.
func Addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// Time reads a time of the tables.
func Time(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// Sums reads five columns: flows, packets_out, packets_in, bytes_out, bytes_in.
func Sums(n []int64) incident.Sums {
	return incident.Sums{Flows: uint64(n[0]), PacketsOut: uint64(n[1]), PacketsIn: uint64(n[2]), BytesOut: uint64(n[3]), BytesIn: uint64(n[4])}
}

// SumsValues appends these columns.
func SumsValues(out []any, s *incident.Sums) []any {
	return append(out, database.Count(s.Flows), database.Count(s.PacketsOut), database.Count(s.PacketsIn), database.Count(s.BytesOut), database.Count(s.BytesIn))
}

// Exporters reads addresses that stand one after another, 16 bytes each.
func Exporters(b []byte) (all []netip.Addr) {
	for ; len(b) >= 16; b = b[16:] {
		all = append(all, Addr(b[:16]))
	}
	return all
}
