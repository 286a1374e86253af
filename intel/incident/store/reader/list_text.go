package reader

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// maxCategories is how many categories are looked through for a text; there are a few dozen.
const maxCategories = 1000

// maxNetworks is how many networks whose names have a text are chosen by their numbers.
const maxNetworks = 50_000

// text adds the condition that an incident has a text somewhere: in the name of a feed, a
// category, the name of the network or a note, or that the address begins with it. Names are few,
// so those that have the text are found first.
func (v *view) text(c *conditionList, s string) error {
	has, pattern := v.has(s)
	feeds, err := v.list(new(database.Query).Add("SELECT id FROM feed WHERE "+has("name"), pattern))
	if err != nil {
		return err
	}
	networks, err := v.list(new(database.Query).Add("SELECT as_number FROM network WHERE "+has("name")+" LIMIT ?", pattern, int64(maxNetworks+1)))
	if err != nil {
		return err
	}
	categories, err := v.categories(has("name"), pattern)
	if err != nil {
		return err
	}
	one := condition{name: "text"}
	var wheres []string
	add := func(where, ids string, args ...any) {
		wheres = append(wheres, where)
		one.args = append(one.args, args...)
		one.parts = append(one.parts, part{ids, args})
	}
	add("i.id IN (SELECT n.incident FROM note n WHERE "+has("n.text")+")", "SELECT DISTINCT n.incident AS id FROM note n WHERE "+has("n.text"), pattern)
	if len(feeds) > 0 {
		where, ids := linked("incident_feed x", "x.feed IN ("+numbers(feeds)+")")
		add(where, ids)
	}
	if len(categories) > 0 {
		where, ids := linked("incident_feed x", "x.category IN ("+database.Marks(len(categories))+")")
		add(where, ids, categories...)
	}
	switch {
	case len(networks) > maxNetworks:
		where := "i.as_number <> 0 AND i.as_number IN (SELECT as_number FROM network WHERE " + has("name") + ")"
		add("("+where+")", "SELECT i.id AS id FROM incident i WHERE "+where, pattern)
	case len(networks) > 0:
		where := "i.as_number <> 0 AND i.as_number IN (" + numbers(networks) + ")"
		add("("+where+")", "SELECT i.id AS id FROM incident i WHERE "+where)
	}
	if where, args := ranges("i.offender", span.Beginning(s)); len(args) > 0 {
		add(where, "SELECT i.id AS id FROM incident i WHERE "+where, args...)
	}
	one.where = "(" + strings.Join(wheres, " OR ") + ")"
	one.unite()
	c.all = append(c.all, one)
	return nil
}

// has gives the condition that a column has a text, without regard to the case of ASCII
// letters, and the value for it.
func (v *view) has(s string) (condition func(column string) string, pattern string) {
	pattern = "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(lowerASCII(s)) + "%"
	return func(column string) string {
		if v.postgres {
			return "lower(" + column + ` COLLATE "C") LIKE ? ESCAPE '\'`
		}
		return column + ` LIKE ? ESCAPE '\'`
	}, pattern
}

// list reads numbers.
func (v *view) list(q *database.Query) (all []int64, err error) {
	err = v.each(q, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		all = append(all, n)
		return err
	})
	return all, err
}

// categories gives those whose name meets a condition. The index is read from one to the next.
func (v *view) categories(where string, args ...any) (all []any, err error) {
	q := new(database.Query).Add(`WITH RECURSIVE c(name, n) AS (SELECT min(category), 1 FROM incident_feed
		UNION ALL SELECT (SELECT min(x.category) FROM incident_feed x WHERE x.category > c.name), c.n + 1 FROM c WHERE c.name IS NOT NULL AND c.n < `+
		strconv.Itoa(maxCategories)+") SELECT name FROM c WHERE "+where, args...)
	err = v.each(q, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		all = append(all, name)
		return err
	})
	return all, err
}

// numbers are some as they stand in a statement: there may be more than it can have values.
func numbers(list []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
