package store

import (
	"database/sql"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

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
	var worst, score, flags, state, as int64
	var sums [5]int64
	var rank, flowsKey, bytesKey int64 // made of the others
	err := rows.Scan(&r.id, &offender, &state, &r.since, &r.first, &r.last, &r.days, &r.lastDay, &sums[0], &sums[1], &sums[2], &sums[3], &sums[4], &bytes,
		&r.contacts, &hosts, &r.foldedHosts, &ports, &r.foldedPorts, &worst, &score, &called, &flags, &r.silenced, &r.verdict,
		&r.country, &as, &r.listed, &rank, &flowsKey, &bytesKey)
	r.offender, r.state, r.worst, r.score, r.flags = schema.Addr(offender), incident.State(state), event.Severity(worst), uint8(score), batch.Flags(flags)
	r.sums = schema.Sums(sums[:])
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
	out = append(out, r.id, schema.Key(r.offender), int64(r.state), r.since, r.first, r.last, r.days, r.lastDay)
	return append(schema.SumsValues(out, s), database.Count(s.Bytes()), r.contacts, r.hosts+r.foldedHosts, r.foldedHosts, r.ports+r.foldedPorts, r.foldedPorts,
		int64(r.worst), int64(r.score), called, int64(r.flags), r.silenced, r.verdict, r.country, int64(r.asNumber), r.listed,
		r.rank(), incident.SizeKey(s.Flows), incident.SizeKey(s.Bytes()))
}

// keys gives the values of schema.KeyColumns.
func (r *row) keys() [11]any {
	return [11]any{r.first, r.lastDay, r.days, r.hosts + r.foldedHosts, int64(r.worst), int64(r.flags), r.country, int64(r.asNumber),
		r.rank(), incident.SizeKey(r.sums.Flows), incident.SizeKey(r.sums.Bytes())}
}

// rank is the place of the row in the order of incident.Less.
func (r *row) rank() int64 {
	has := func(f batch.Flags) bool { return r.flags&f != 0 }
	return incident.RankKey(&incident.Incident{Worst: r.worst, Called: has(batch.CalledAnswered), Answered: has(batch.Answered), Days: int(r.days),
		Sums: r.sums, Last: schema.Time(r.last)})
}
