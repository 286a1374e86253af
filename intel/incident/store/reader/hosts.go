package reader

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// ErrNoHost means that no incident has the host.
var ErrNoHost = fmt.Errorf("no offender had contact with this host: %w", incident.ErrUnknown)

// hostColumns are what is read of a host, numbers after its id, address and site.
var hostColumns = []string{"offenders", "flows", "packets_out", "packets_in", "bytes_out", "bytes_in", "first_seen", "last_seen", "days", "worst", "flags"}

// hostOrders are the columns that hosts are sorted by; address and site come last.
var hostOrders = [...][]string{
	incident.ByRank:     {"worst", "(flags & 4)", "days", "bytes_out", "last_seen"},
	incident.ByLast:     {"last_seen"},
	incident.ByFirst:    {"first_seen"},
	incident.BySeverity: {"worst"},
	incident.ByDays:     {"days"},
	incident.ByFlows:    {"flows"},
	incident.ByHosts:    {"offenders"},
	// The halves, as the sum may leave the numbers of the database.
	incident.ByBytes: {"(bytes_out / 2 + bytes_in / 2 + (bytes_out % 2 + bytes_in % 2) / 2)", "((bytes_out % 2 + bytes_in % 2) % 2)"},
}

// A hostRow is a host with its number.
type hostRow struct {
	incident.HostRow
	id    int64
	total int64 // of the list
}

// Hosts gives a page of our hosts. The filter chooses incidents, and a host has the sums of
// its contacts with these offenders; of its Days it has the most with one of them then. With a
// filter of hosts and sites alone, or none, everything is kept ready.
func (s *Reader) Hosts(ctx context.Context, q incident.Query) (incident.Page[incident.HostRow], error) {
	page := incident.Page[incident.HostRow]{Total: -1}
	if int(q.Sort) >= len(hostOrders) {
		return page, &incident.Error{Name: "sort", Reason: "no such order"}
	}
	v, err := s.look(ctx)
	if err != nil {
		return page, err
	}
	defer v.close()
	statement, err := v.hostQuery(&q)
	if err != nil {
		return page, err
	}
	rows, err := v.hosts(statement)
	if err != nil {
		return page, err
	}
	if q.After == "" {
		page.Total = 0
		if len(rows) > 0 {
			page.Total = int(rows[0].total)
		}
	}
	if limit := limitOf(&q); len(rows) > limit {
		rows = rows[:limit]
		page.Next = hostCursor(&q, &rows[limit-1])
	}
	if err := v.top(rows); err != nil {
		return page, err
	}
	for i := range rows {
		page.Rows = append(page.Rows, rows[i].HostRow)
	}
	return page, nil
}

// hostQuery puts the statement of a page together.
func (v *view) hostQuery(q *incident.Query) (*database.Query, error) {
	columns, suffix, sign := hostOrders[q.Sort], " ASC", ">"
	if q.Descending {
		suffix, sign = " DESC", "<"
	}
	columns = append(slices.Clone(columns), "address", "site")
	out := new(database.Query).Add("SELECT *, count(*) OVER () FROM (")
	if err := v.hostSource(out, &q.Filter); err != nil {
		return nil, err
	}
	out.Add(") h")
	if q.After != "" {
		values, err := readHostCursor(q)
		if err != nil {
			return nil, err
		}
		out.Add(" WHERE ("+strings.Join(columns, ", ")+") "+sign+" ("+database.Marks(len(values))+")", values...)
	}
	return out.Add(" ORDER BY "+strings.Join(columns, suffix+", ")+suffix+" LIMIT ?", int64(limitOf(q)+1)), nil
}

// hostSource appends the rows of hosts that a filter leaves: as they are kept, or summed up.
func (v *view) hostSource(q *database.Query, f *incident.Filter) error {
	rest := *f
	rest.Hosts, rest.Sites = nil, nil
	where, args := ours(f)
	// SQLite would go through all hosts of all incidents, in the order of the groups.
	join := "CROSS JOIN incident_host x CROSS JOIN host h"
	if where == "" {
		where = "1 = 1"
	} else {
		join = "JOIN incident_host x ON 1 = 1 JOIN host h ON 1 = 1"
	}
	if rest.IsZero() {
		q.Add("SELECT h.id, h.address, h.site, "+strings.Join(hostColumns, ", ")+" FROM host_sum s JOIN host h ON h.id = s.host WHERE s.offenders > 0 AND "+where, args...)
		return nil
	}
	conditions, err := v.conditions(&rest)
	if err != nil {
		return err
	}
	sum := func(column string) string { return total("x."+column, v.postgres) + " AS " + column + ", " }
	q.Add("SELECT h.id, h.address, h.site, count(*) AS offenders, " + sum("flows") + sum("packets_out") + sum("packets_in") + sum("bytes_out") + sum("bytes_in") +
		"min(x.first_seen) AS first_seen, max(x.last_seen) AS last_seen, max(x.days) AS days, max(x.worst) AS worst, " +
		anyFlag(batch.Answered, batch.CalledAnswered, batch.Inbound, batch.Outbound, batch.Internal) + " AS flags FROM incident i " + join + " WHERE x.incident = i.id AND h.id = x.host AND ")
	q.Add(where, args...)
	for _, c := range conditions {
		q.Add(" AND "+c.where, c.args...)
	}
	q.Add(" GROUP BY h.id, h.address, h.site")
	return nil
}

// anyFlag has those of some flags that any of the rows has.
func anyFlag(flags ...batch.Flags) string {
	parts := make([]string, len(flags))
	for i, f := range flags {
		parts[i] = fmt.Sprintf("max(x.flags & %d)", f)
	}
	return strings.Join(parts, " | ")
}

// total is a sum that stays within the numbers of the database. SQLite adds the upper and the
// lower bits apart, so that nothing overflows.
func total(column string, postgres bool) string {
	if postgres {
		return "CAST(least(sum(" + column + "), 9223372036854775807) AS BIGINT)"
	}
	low := "sum(" + column + " & 1048575)"
	high := "sum(" + column + " >> 20) + (" + low + " >> 20)"
	return "CASE WHEN " + high + " > 8796093022207 THEN 9223372036854775807 ELSE (" + high + ") * 1048576 + (" + low + " & 1048575) END"
}

// hosts reads the rows of a statement of hostQuery.
func (v *view) hosts(q *database.Query) (list []hostRow, err error) {
	err = v.each(q, func(rows *sql.Rows) error {
		var h hostRow
		var address []byte
		n := make([]int64, len(hostColumns))
		into := []any{&h.id, &address, &h.Site}
		for i := range n {
			into = append(into, &n[i])
		}
		if err := rows.Scan(append(into, &h.total)...); err != nil {
			return err
		}
		h.Addr, h.Offenders = schema.Addr(address), int(n[0])
		setShare(&h.HostShare, n[1:])
		list = append(list, h)
		return nil
	})
	return list, err
}

// setShare sets what the tables have of a host, from flows to flags as in hostColumns.
func setShare(h *incident.HostShare, n []int64) {
	h.Sums = schema.Sums(n)
	h.First, h.Last, h.Days, h.Worst = schema.Time(n[5]), schema.Time(n[6]), int(n[7]), event.Severity(n[8])
	has := func(f batch.Flags) bool { return batch.Flags(n[9])&f != 0 }
	h.Called, h.Answered = has(batch.CalledAnswered), has(batch.Answered)
	h.Inbound, h.Outbound, h.Internal = has(batch.Inbound), has(batch.Outbound), has(batch.Internal)
}

// hostCursor gives the place of a host in the order of a query.
func hostCursor(q *incident.Query, h *hostRow) string {
	reached := int64(0)
	if h.Called {
		reached = int64(batch.CalledAnswered)
	}
	n := database.Count
	values := map[incident.Sort][]int64{
		incident.ByRank: {int64(h.Worst), reached, int64(h.Days), n(h.BytesOut), h.Last.Unix()},
		incident.ByLast: {h.Last.Unix()}, incident.ByFirst: {h.First.Unix()}, incident.BySeverity: {int64(h.Worst)}, incident.ByDays: {int64(h.Days)},
		incident.ByFlows: {n(h.Flows)}, incident.ByHosts: {int64(h.Offenders)},
		incident.ByBytes: {n(h.BytesOut)/2 + n(h.BytesIn)/2 + (n(h.BytesOut)%2+n(h.BytesIn)%2)/2, (n(h.BytesOut)%2 + n(h.BytesIn)%2) % 2},
	}[q.Sort]
	c := cursor{values: values}
	return c.text(q) + "." + hex.EncodeToString(schema.Key(h.Addr)) + "." + hex.EncodeToString([]byte(h.Site))
}

func readHostCursor(q *incident.Query) (values []any, err error) {
	parts := strings.Split(q.After, ".")
	if n := len(hostOrders[q.Sort]); len(parts) != n+5 || parts[0] != q.Sort.String() || parts[1] != direction(q.Descending) {
		return nil, errAfter
	}
	numbers := parts[3 : len(parts)-2]
	for _, s := range numbers {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, errAfter
		}
		values = append(values, n)
	}
	address, err := hex.DecodeString(parts[len(parts)-2])
	site, err2 := hex.DecodeString(parts[len(parts)-1])
	if err != nil || err2 != nil || len(address) != 16 || strings.ContainsRune(string(site), 0) {
		return nil, errAfter
	}
	return append(values, address, strings.ToValidUTF8(string(site), "")), nil
}

// How the worst offenders of a host are found: by the links of hosts with few of them, of
// others among the worst of all.
const (
	topOffenders = 3
	fewLinks     = 500
	worstOfAll   = 2000
)

// top sets the worst offenders of hosts, whatever the filter: those of all contacts.
func (v *view) top(hosts []hostRow) error {
	index := make(map[int64]*hostRow, len(hosts))
	var all, small, large []any
	for i := range hosts {
		h := &hosts[i]
		index[h.id], all = h, append(all, h.id)
	}
	if len(all) == 0 {
		return nil
	}
	err := v.each(new(database.Query).Add("SELECT host, offenders FROM host_sum WHERE host IN ("+database.Marks(len(all))+")", all...), func(rows *sql.Rows) error {
		var host, n int64
		err := rows.Scan(&host, &n)
		if n <= fewLinks {
			small = append(small, host)
		} else {
			large = append(large, host)
		}
		return err
	})
	if err != nil {
		return err
	}
	found := map[int64][]incident.Incident{}
	take := func(rows *sql.Rows) error {
		var host, id, last, out, worst, called, days int64
		var offender []byte
		if err := rows.Scan(&host, &id, &offender, &worst, &called, &days, &out, &last); err != nil {
			return err
		}
		found[host] = append(found[host], incident.Incident{ID: id, Offender: schema.Addr(offender), Worst: event.Severity(worst),
			Called: called != 0, Answered: called != 0, Days: int(days), Sums: incident.Sums{BytesOut: uint64(out)}, Last: schema.Time(last)})
		return nil
	}
	const selected = "SELECT x.host, i.id, i.offender, i.worst, i.called, i.days, i.bytes_out, i.last_seen FROM "
	if len(small) > 0 {
		q := new(database.Query).Add(selected+"incident_host x JOIN incident i ON i.id = x.incident WHERE x.host IN ("+database.Marks(len(small))+")", small...)
		if err := v.each(q, take); err != nil {
			return err
		}
	}
	if len(large) > 0 {
		q := new(database.Query).Add("WITH c AS MATERIALIZED (SELECT id FROM incident ORDER BY rank DESC LIMIT ?) ", int64(worstOfAll))
		q.Add(selected+"c CROSS JOIN incident_host x CROSS JOIN incident i WHERE x.incident = c.id AND i.id = c.id AND x.host IN ("+database.Marks(len(large))+")", large...)
		if err := v.each(q, take); err != nil {
			return err
		}
	}
	for host, list := range found {
		slices.SortFunc(list, func(a, b incident.Incident) int { return incident.Less(&a, &b) })
		for i := range list[:min(len(list), topOffenders)] {
			index[host].Top = append(index[host].Top, list[i].Offender)
		}
	}
	return nil
}

// Of gives one host of ours and its incidents, the worst first, at most 1,000. [ErrNoHost]
// means that it has none.
func (s *Reader) Of(ctx context.Context, h incident.Host) (*incident.HostRow, []incident.Incident, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	q := new(database.Query).Add("SELECT h.id, h.address, h.site, "+strings.Join(hostColumns, ", ")+", 1 FROM host h JOIN host_sum s ON s.host = h.id WHERE h.address = ? AND h.site = ? AND s.offenders > 0",
		schema.Key(h.Addr.Unmap()), h.Site)
	rows, err := v.hosts(q)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", h.Addr, ErrNoHost)
	}
	if err := v.top(rows); err != nil {
		return nil, nil, err
	}
	l := &listing{view: v, q: &incident.Query{Descending: true}, phases: orders[incident.ByRank], limit: incident.MaxLimit - 1}
	c := conditionList{}
	c.link("host", "incident_host x", "x.host = ?", rows[0].id)
	l.conditions = c.all
	if err := l.find(cursor{}); err != nil {
		return nil, nil, err
	}
	list, err := v.whole(l.rows)
	return &rows[0].HostRow, list, err
}

// Sites gives the hosts with an address, one for each site.
func (s *Reader) Sites(ctx context.Context, a netip.Addr) ([]incident.Host, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	var all []incident.Host
	err = v.each(new(database.Query).Add("SELECT h.site FROM host h JOIN host_sum s ON s.host = h.id WHERE h.address = ? AND s.offenders > 0 ORDER BY h.site", schema.Key(a.Unmap())), func(rows *sql.Rows) error {
		h := incident.Host{Addr: a.Unmap()}
		err := rows.Scan(&h.Site)
		all = append(all, h)
		return err
	})
	return all, err
}
