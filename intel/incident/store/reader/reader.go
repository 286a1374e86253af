// Package reader runs the queries on the database of incidents: lists with every filter
// of package incident, in every order and by pages, the view by hosts, one incident whole, and
// the sums of a period. It writes nothing. What is in the tables, and since when, is up to
// intel/incident/store, which has a [Reader].
package reader

import (
	"database/sql"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Limits are how a page of a list is looked for. Its rows are the same whatever they are.
type Limits struct {
	// Few is how many incidents are read and sorted at once rather than found in order: with
	// so many that fit, of a million, both cost about the same.
	Few int64
	// Patience is how many are looked at in order before all that meet the rarest condition
	// are read instead; ten times as many if these are more than Many.
	Patience, Many int64
}

// DefaultLimits suit a million incidents.
func DefaultLimits() Limits { return Limits{Few: 5000, Patience: 20_000, Many: 50_000} }

// A Reader reads a database of incidents. Its methods may be called from any goroutine, and
// never wait for who writes.
type Reader struct {
	db     *database.DB
	limits Limits
}

// New gives a reader of an open database.
func New(db *database.DB, limits Limits) *Reader { return &Reader{db, limits} }

// rowColumns are what is read of the table incident.
var rowColumns = []string{"id", "offender", "state", "since", "first_seen", "last_seen", "days", "flows", "packets_out", "packets_in", "bytes_out", "bytes_in",
	"contacts", "hosts", "ports", "worst", "score", "flags", "silenced", "country", "as_number"}

func columnsOf(alias string) string { return alias + strings.Join(rowColumns, ", "+alias) }

// scanRow reads an incident, without its texts, in the order of rowColumns.
func scanRow(rows *sql.Rows) (*incident.Incident, error) {
	x := &incident.Incident{}
	var offender []byte
	var n [18]int64
	into := []any{&x.ID, &offender}
	for i := range n[:17] {
		into = append(into, &n[i])
	}
	if err := rows.Scan(append(into, &x.Country, &n[17])...); err != nil {
		return nil, err
	}
	flags := batch.Flags(n[15])
	has := func(f batch.Flags) bool { return flags&f != 0 }
	x.Offender, x.State, x.Since, x.First, x.Last, x.Days = schema.Addr(offender), incident.State(n[0]), schema.Time(n[1]), schema.Time(n[2]), schema.Time(n[3]), int(n[4])
	x.Sums = schema.Sums(n[5:])
	x.Contacts, x.Hosts, x.Ports, x.Worst, x.Score = uint64(n[10]), int(n[11]), int(n[12]), event.Severity(n[13]), uint8(n[14])
	x.Silenced, x.ASNumber = uint64(n[16]), uint32(n[17])
	x.MoreHosts, x.MorePorts, x.Called, x.Answered = has(batch.MoreHosts), has(batch.MorePorts), has(batch.CalledAnswered), has(batch.Answered)
	x.Inbound, x.Outbound, x.Internal, x.Transit = has(batch.Inbound), has(batch.Outbound), has(batch.Internal), has(batch.Transit)
	x.Blocked, x.Refused, x.Retro = has(batch.Blocked), has(batch.Refused), has(batch.Retro)
	return x, nil
}
