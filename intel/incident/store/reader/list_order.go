package reader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// A phase is a part of an order that an index gives: rows that meet a condition, by columns.
type phase struct {
	where   string // of the rows; empty = all
	columns []string
	index   string // it has the first columns
	exact   bool   // it has all of them
}

// orders are the phases of each order, the smallest rows first. Sizes have an index of few
// steps (incident.SizeKey), which are the sizes themselves at first: there the size
// need not be compared, and so not all rows of one size be sorted.
var orders = [...][]phase{
	incident.ByRank:     {{columns: []string{"rank", "bytes_out", "last_seen", "id"}, index: "incident_rank"}},
	incident.ByLast:     {{columns: []string{"last_seen", "id"}, index: "incident_last", exact: true}},
	incident.ByFirst:    {{columns: []string{"first_seen", "id"}, index: "incident_first_day"}},
	incident.BySeverity: {{columns: []string{"worst", "first_seen", "id"}, index: "incident_worst", exact: true}},
	incident.ByDays:     {{columns: []string{"days", "first_seen", "id"}, index: "incident_days", exact: true}},
	incident.ByFlows:    sizes("flows"),
	incident.ByHosts:    {{columns: []string{"hosts", "first_seen", "id"}, index: "incident_hosts", exact: true}},
	incident.ByBytes:    sizes("bytes"),
}

func sizes(column string) []phase {
	limit := strconv.Itoa(incident.ExactSize)
	return []phase{
		{column + "_key < " + limit, []string{column + "_key", "id"}, "incident_" + column, true},
		{column + "_key >= " + limit, []string{column + "_key", column, "id"}, "incident_" + column, false},
	}
}

// sortValue gives a column of a row that rows are sorted by.
func sortValue(x *incident.Incident, column string) int64 {
	switch column {
	case "rank":
		return incident.RankKey(x)
	case "bytes_out":
		return int64(x.BytesOut)
	case "last_seen":
		return x.Last.Unix()
	case "first_seen":
		return x.First.Unix()
	case "worst":
		return int64(x.Worst)
	case "days":
		return int64(x.Days)
	case "flows":
		return int64(x.Flows)
	case "flows_key":
		return incident.SizeKey(x.Flows)
	case "bytes":
		return int64(x.Bytes())
	case "bytes_key":
		return incident.SizeKey(x.Bytes())
	case "hosts":
		return int64(x.Hosts)
	case "id":
		return x.ID
	}
	panic("reader: no column " + column)
}

// A cursor is the place of a row in an order: the values of its columns in a phase. The
// zero cursor is before all rows.
type cursor struct {
	phase  int
	values []int64
	// equal is how many of the first values the rows meant have in common with the cursor,
	// where the index of the phase is exact.
	equal int
	// within, if set, is the value of the first column that the rows meant have.
	within *int64
}

// text gives the cursor as it is in a page: order, direction, phase, values.
func (c *cursor) text(q *incident.Query) string {
	parts := []string{q.Sort.String(), direction(q.Descending), strconv.Itoa(c.phase)}
	for _, v := range c.values {
		parts = append(parts, strconv.FormatInt(v, 10))
	}
	return strings.Join(parts, ".")
}

func direction(descending bool) string {
	if descending {
		return "desc"
	}
	return "asc"
}

// errAfter is for an After that is not of the same query.
var errAfter = &incident.Error{Name: "after", Reason: "is no page of this list; begin with the first one"}

// readCursor reads the After of a query in an order of phases.
func readCursor(q *incident.Query, phases []phase) (c cursor, err error) {
	if q.After == "" {
		return c, nil
	}
	parts := strings.Split(q.After, ".")
	if len(parts) < 4 || parts[0] != q.Sort.String() || parts[1] != direction(q.Descending) {
		return c, errAfter
	}
	c.phase = slices.IndexFunc(phases, func(p phase) bool { return len(p.columns) == len(parts)-3 })
	if c.phase < 0 || parts[2] != strconv.Itoa(c.phase) {
		return c, errAfter
	}
	for _, s := range parts[3:] {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return c, errAfter
		}
		c.values = append(c.values, v)
	}
	return c, nil
}

// after adds the condition that a row comes after the cursor.
func (p *phase) after(q *database.Query, c *cursor, alias string, descending bool) {
	if c.within != nil {
		q.Add(" AND "+alias+p.columns[0]+" = ?", *c.within)
	}
	if c.values == nil {
		return
	}
	sign := map[bool]string{true: " < ", false: " > "}[descending]
	if !p.exact {
		q.Add(" AND ("+p.list(alias, "")+")"+sign+"("+database.Marks(len(c.values))+")", values(c.values)...)
		return
	}
	for i := range c.equal {
		q.Add(" AND "+alias+p.columns[i]+" = ?", c.values[i])
	}
	q.Add(" AND "+alias+p.columns[c.equal]+sign+"?", c.values[c.equal])
}

// list gives the columns, each with a suffix.
func (p *phase) list(alias, suffix string) string {
	return alias + strings.Join(p.columns, suffix+", "+alias) + suffix
}
