package reader

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// List gives a page of the incidents that meet a query. The Total of a page after the first one
// is -1; of the first it is less than all, with More, where counting would take long.
func (s *Reader) List(ctx context.Context, q incident.Query) (incident.Page[incident.Incident], error) {
	page := incident.Page[incident.Incident]{Total: -1}
	if int(q.Sort) >= len(orders) {
		return page, &incident.Error{Name: "sort", Reason: "no such order"}
	}
	l := &listing{q: &q, phases: orders[q.Sort], limit: limitOf(&q)}
	start, err := readCursor(&q, l.phases)
	if err != nil {
		return page, err
	}
	if l.view, err = s.look(ctx); err != nil {
		return page, err
	}
	defer l.close()
	if l.conditions, err = l.view.conditions(&q.Filter); err != nil {
		return page, err
	}
	if err := l.find(start); err != nil {
		return page, err
	}
	if len(l.rows) > l.limit {
		l.rows, l.places = l.rows[:l.limit], l.places[:l.limit]
		page.Next = l.places[l.limit-1].text(&q)
	}
	if q.After == "" {
		if err := l.count(&page, page.Next == ""); err != nil {
			return page, err
		}
	}
	page.Rows, err = l.whole(l.rows)
	return page, err
}

func limitOf(q *incident.Query) int {
	if q.Limit <= 0 {
		return incident.DefaultLimit
	}
	return min(q.Limit, incident.MaxLimit)
}

// A listing is one page that is looked for.
type listing struct {
	*view
	q          *incident.Query
	phases     []phase
	limit      int
	conditions []condition
	driver     int     // the condition whose incidents are all read; -1 = they are found in order
	ids        []int64 // its incidents, if they were read already
	budget     int64   // how many are looked at in order; 0 = any number
	used       int64   // of the budget
	looked     bool    // at more than the budget
	slow       bool    // the rows were not found in order soon

	rows   []*incident.Incident // one more than the limit if there are more
	places []cursor
}

// find looks for the rows: among the few that a condition leaves, else in their order, else
// among those that the rarest condition leaves.
func (l *listing) find(start cursor) error {
	var err error
	if err = l.few(); err != nil {
		return err
	}
	if l.driver < 0 && len(l.conditions) > 0 && !l.postgres {
		l.budget = l.limits.Patience
	}
	if err := l.run(start); err != nil || !l.looked {
		return err
	}
	l.slow = true
	if l.driver, err = l.rarest(l.limits.Many); err != nil {
		return err
	}
	if l.driver < 0 {
		l.budget = 10 * l.limits.Patience
		if err := l.run(start); err != nil || !l.looked {
			return err
		}
		if l.driver, err = l.rarest(math.MaxInt64 - 1); err != nil {
			return err
		}
		l.driver = max(l.driver, 0)
	}
	l.budget = 0
	return l.run(start)
}

// few chooses the condition that few incidents meet, if there is one. PostgreSQL gets their
// numbers: it takes most conditions here for such as nearly all meet, and would read all.
func (l *listing) few() (err error) {
	l.ids = nil
	if l.driver, err = l.rarest(l.limits.Few); err != nil || l.driver < 0 || !l.postgres {
		return err
	}
	l.ids, err = l.list(new(database.Query).Add(l.conditions[l.driver].ids, l.conditions[l.driver].idArgs...))
	return err
}

// rarest gives the condition that the fewest incidents meet, if it has an index and these are
// no more than most; else -1.
func (l *listing) rarest(most int64) (int, error) {
	best, least := -1, most+1
	for i := range l.conditions {
		c := &l.conditions[i]
		if c.scanned {
			continue
		}
		n, err := l.met(c, least)
		if err != nil {
			return -1, err
		}
		if n < least {
			best, least = i, n
		}
	}
	return best, nil
}

// met counts the incidents that meet a condition, to most.
func (l *listing) met(c *condition, most int64) (int64, error) {
	if len(c.parts) > 1 { // each part ends there, lest all of it be put together
		q := new(database.Query).Add("SELECT count(*) FROM (SELECT 1 FROM (")
		for i, p := range c.parts {
			if i > 0 {
				q.Add(" UNION ")
			}
			q.Add("SELECT id FROM (SELECT id FROM ("+p.ids+") w LIMIT ?) x", append(slices.Clone(p.args), most)...)
		}
		return l.number(q.Add(") y LIMIT ?) z", most))
	}
	return l.number(new(database.Query).Add("SELECT count(*) FROM (SELECT 1 FROM ("+c.ids+") y LIMIT ?) z", append(slices.Clone(c.idArgs), most)...))
}

// run reads the rows of each phase until the page is full.
func (l *listing) run(start cursor) error {
	l.rows, l.places, l.looked, l.used = nil, nil, false, 0
	order := make([]int, len(l.phases))
	for i := range order {
		order[i] = i
	}
	if l.q.Descending {
		slices.Reverse(order)
	}
	if start.values != nil {
		order = order[slices.Index(order, start.phase):]
	}
	for _, n := range order {
		steps, err := l.steps(n, start)
		if err != nil {
			return err
		}
		for _, c := range steps {
			if err := l.phase(&l.phases[n], c); err != nil {
				return err
			}
			if len(l.rows) > l.limit || l.looked {
				return nil
			}
		}
	}
	return nil
}

// steps are the cursors after which a phase is read. Many rows may have the first values of the
// cursor: these are read before those of other values, so that the index finds each.
func (l *listing) steps(n int, start cursor) (steps []cursor, err error) {
	p, from := &l.phases[n], cursor{phase: n}
	if start.values != nil && n == start.phase {
		from = start
	}
	if from.values != nil && p.exact {
		for equal := len(from.values) - 1; equal > 0; equal-- {
			c := from
			c.equal = equal
			steps = append(steps, c)
		}
	}
	if !l.apart(p) {
		return append(steps, from), nil
	}
	values, err := l.firstValues(p, from.values)
	for i := range values {
		steps = append(steps, cursor{phase: n, within: &values[i]})
	}
	return steps, err
}

// apart reports whether the rows of each value of the first column are best read by themselves:
// where a condition bounds the second one, that is what the index finds at once.
func (l *listing) apart(p *phase) bool {
	if len(p.columns) < 3 || !p.exact || l.driver >= 0 || l.postgres && len(l.conditions) > 1 {
		return false
	}
	return slices.ContainsFunc(l.conditions, func(c condition) bool {
		return slices.ContainsFunc(c.bounds, func(b bound) bool { return b.column == p.columns[1] })
	})
}

// firstValues are those of the first column of a phase, after that of a cursor, in the order of
// the list. The index is read from one to the next.
func (l *listing) firstValues(p *phase, after []int64) ([]int64, error) {
	column, first, sign := p.columns[0], "min(", " > "
	if l.q.Descending {
		first, sign = "max(", " < "
	}
	q := new(database.Query).Add("WITH RECURSIVE v(n) AS (SELECT " + first + column + ") FROM incident")
	if after != nil {
		q.Add(" WHERE "+column+sign+"?", after[0])
	}
	q.Add(" UNION ALL SELECT (SELECT " + first + "x." + column + ") FROM incident x WHERE x." + column + sign + "v.n) FROM v WHERE v.n IS NOT NULL) SELECT n FROM v WHERE n IS NOT NULL")
	return l.list(q)
}

// phase reads the rows of one phase after a cursor: their numbers first, so that what is
// looked at in vain is not read whole.
func (l *listing) phase(p *phase, c cursor) error {
	inner := l.from("SELECT i.id AS id", p, &c).Add(" LIMIT ?", int64(l.limit+1-len(l.rows)))
	q := new(database.Query).Wrap("SELECT "+columnsOf("r.")+" FROM (", inner, ") s CROSS JOIN incident r WHERE r.id = s.id ORDER BY "+p.list("r.", l.suffix()))
	err := l.each(q, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		if err != nil {
			return err
		}
		place := cursor{phase: c.phase}
		for _, name := range p.columns {
			place.values = append(place.values, sortValue(r, name))
		}
		l.rows, l.places = append(l.rows, r), append(l.places, place)
		return nil
	})
	if err != nil || l.budget == 0 || len(l.rows) > l.limit {
		return err
	}
	// What was found may be all that there is, or all within the budget.
	inner = new(database.Query)
	l.inOrder(inner, "SELECT 1", p, &c)
	n, err := l.number(new(database.Query).Wrap("SELECT count(*) FROM (", inner, ") z"))
	l.used += n
	l.looked = l.used >= l.budget
	return err
}

func (l *listing) suffix() string {
	if l.q.Descending {
		return " DESC"
	}
	return " ASC"
}

// inOrder appends a query for the rows of a phase in its order after a cursor, no more than
// the budget, within the bounds that the index has alone.
func (l *listing) inOrder(q *database.Query, selected string, p *phase, c *cursor) {
	q.Add(selected + " FROM incident i INDEXED BY " + p.index + " WHERE 1 = 1")
	l.bound(q, p, c)
	l.order(q, p, c)
	q.Add(" LIMIT ?", l.budget-l.used)
}

// bound appends what the conditions mean for the column by which the index finds the next row.
func (l *listing) bound(q *database.Query, p *phase, c *cursor) {
	column := p.columns[0]
	if c.within != nil {
		column = p.columns[1]
	}
	for n := range l.conditions {
		for _, b := range l.conditions[n].bounds {
			if b.column == column {
				q.Add(" AND "+b.where, b.value)
			}
		}
	}
}

// order appends where a page begins, and its order.
func (l *listing) order(q *database.Query, p *phase, c *cursor) {
	if p.where != "" {
		q.Add(" AND i." + p.where)
	}
	p.after(q, c, "i.", l.q.Descending)
	q.Add(" ORDER BY " + p.list("i.", l.suffix()))
}

// from begins a query for the incidents i that meet all conditions, with p in the order of a
// phase after a cursor.
func (l *listing) from(selected string, p *phase, c *cursor) *database.Query {
	q := new(database.Query)
	switch {
	case l.driver >= 0 && len(l.ids) > 0:
		q.Add(selected + " FROM incident i WHERE i.id IN (" + numbers(l.ids) + ")")
	case l.driver >= 0:
		d := &l.conditions[l.driver]
		q.Add("WITH c AS MATERIALIZED ("+d.ids+") ", d.idArgs...)
		q.Add(selected + " FROM c CROSS JOIN incident i WHERE i.id = c.id")
	case p != nil && l.budget > 0:
		// SQLite gives the rows of the inner query in their order, one after another.
		inner := new(database.Query)
		l.inOrder(inner, "SELECT i.id, i.offender, i.state, i.first_seen, i.last_seen, i.worst, i.flags, i.country, i.as_number", p, c)
		q.Wrap(selected+" FROM (", inner, ") i WHERE 1 = 1")
	case p != nil && !l.postgres:
		q.Add(selected + " FROM incident i INDEXED BY " + p.index + " WHERE 1 = 1")
	default:
		q.Add(selected + " FROM incident i WHERE 1 = 1")
	}
	for n := range l.conditions {
		if n != l.driver {
			q.Add(" AND "+l.conditions[n].where, l.conditions[n].args...)
		}
	}
	if p != nil && (l.budget == 0 || l.driver >= 0) {
		l.bound(q, p, c)
		l.order(q, p, c)
	}
	return q
}

// count sets the Total of the first page, exactly where that takes no more than the page itself,
// else to a number that there are more of.
func (l *listing) count(page *incident.Page[incident.Incident], whole bool) error {
	known := int64(len(l.rows))
	n, err := known, error(nil)
	switch {
	case whole:
	case len(l.conditions) == 0:
		n, err = l.number(new(database.Query).Add("SELECT count(*) FROM incident"))
	case l.driver >= 0 && !l.slow:
		n, err = l.number(l.from("SELECT count(*)", nil, nil))
	case len(l.conditions) == 1 && !l.conditions[0].scanned:
		if n, err = l.met(&l.conditions[0], incident.MaxCount+1); n > incident.MaxCount {
			n, page.More = incident.MaxCount, true
		}
	default:
		n, page.More, err = l.sample(known)
	}
	page.Total = int(n)
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

// sample counts the newest incidents that meet the conditions, among as many as are looked at
// for a page. There are more unless these are all.
func (l *listing) sample(known int64) (n int64, more bool, err error) {
	all, err := l.number(new(database.Query).Add("SELECT count(*) FROM (SELECT 1 FROM incident LIMIT ?) x", 2*l.limits.Patience+1))
	if err != nil {
		return 0, false, err
	}
	l.driver, l.budget = -1, 0
	if all <= 2*l.limits.Patience {
		n, err = l.number(l.from("SELECT count(*)", nil, nil))
		return n, false, err
	}
	q := new(database.Query).Add("SELECT count(*) FROM (SELECT * FROM incident ORDER BY id DESC LIMIT ?) i WHERE 1 = 1", min(l.limits.Patience, incident.MaxCount))
	for _, c := range l.conditions {
		q.Add(" AND "+c.where, c.args...)
	}
	n, err = l.number(q)
	return max(n, known), true, err
}

// whole gives incidents with the texts of their rows.
func (v *view) whole(rows []*incident.Incident) ([]incident.Incident, error) {
	list := make([]incident.Incident, len(rows))
	at := make(map[int64]int, len(rows))
	ids := make([]any, len(rows))
	for i, r := range rows {
		list[i], at[r.ID], ids[i] = *r, i, r.ID
	}
	if len(rows) == 0 {
		return list, nil
	}
	q := new(database.Query).Add("SELECT incident, owner, reason, exporters FROM incident_text WHERE incident IN ("+database.Marks(len(ids))+")", ids...)
	err := v.each(q, func(rows *sql.Rows) error {
		var id int64
		var owner, reason string
		var exporters []byte
		if err := rows.Scan(&id, &owner, &reason, &exporters); err != nil {
			return err
		}
		x := &list[at[id]]
		x.Owner, x.Reason, x.Exporters = owner, reason, schema.Exporters(exporters)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, v.networks(list)
}

// networks sets the names of the networks of incidents.
func (v *view) networks(list []incident.Incident) error {
	seen := map[uint32]bool{0: true}
	var numbers []any
	for i := range list {
		if n := list[i].ASNumber; !seen[n] {
			seen[n], numbers = true, append(numbers, int64(n))
		}
	}
	names, err := v.networkNames(numbers)
	for i := range list {
		list[i].ASName = names[int64(list[i].ASNumber)]
	}
	return err
}

// networkNames gives the names of networks by their numbers.
func (v *view) networkNames(numbers []any) (map[int64]string, error) {
	names := make(map[int64]string, len(numbers))
	if len(numbers) == 0 {
		return names, nil
	}
	err := v.each(new(database.Query).Add("SELECT as_number, name FROM network WHERE as_number IN ("+database.Marks(len(numbers))+")", numbers...), func(rows *sql.Rows) error {
		var n int64
		var name string
		err := rows.Scan(&n, &name)
		names[n] = name
		return err
	})
	return names, err
}
