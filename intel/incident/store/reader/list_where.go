package reader

import (
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// A condition is what one filter requires of an incident i: where is for a row that is at hand,
// ids finds all that fit by an index, as id.
type condition struct {
	name    string
	where   string
	args    []any
	ids     string
	idArgs  []any
	parts   []part  // of ids, if it puts together what several indexes have
	scanned bool    // ids has to read everything
	bounds  []bound // of columns that lists are sorted by: what follows from the condition
}

// A part finds some of the incidents that meet a condition.
type part struct {
	ids  string
	args []any
}

// unite makes ids of the parts.
func (c *condition) unite() {
	c.ids, c.idArgs = c.parts[0].ids, c.parts[0].args
	for _, p := range c.parts[1:] {
		c.ids += " UNION " + p.ids
		c.idArgs = append(slices.Clone(c.idArgs), p.args...)
	}
}

// A bound is what a condition means for one column.
type bound struct {
	column, where string
	value         int64
}

// conditions are those of a filter; all must be met.
func (v *view) conditions(f *incident.Filter) ([]condition, error) {
	c := &conditionList{}
	c.times(f, v.postgres)
	if f.MinSeverity > event.Low {
		c.own("severity", "i.worst >= ?", int64(f.MinSeverity))
		c.all[len(c.all)-1].bounds = []bound{{"worst", "i.worst >= ?", int64(f.MinSeverity)},
			{"rank", "i.rank >= ?", incident.RankKey(&incident.Incident{Worst: f.MinSeverity})}}
	}
	if len(f.States) > 0 {
		c.own("state", "i.state IN ("+database.Marks(len(f.States))+")", integers(f.States)...)
	}
	c.links(f)
	if len(f.Services) > 0 {
		if err := v.ports(c, f.Services); err != nil {
			return nil, err
		}
	}
	c.addresses(f)
	if err := v.hostsOf(c, f); err != nil {
		return nil, err
	}
	if len(f.Countries) > 0 {
		c.own("country", "i.country <> '' AND i.country IN ("+database.Marks(len(f.Countries))+")", values(f.Countries)...)
	}
	if len(f.AS) > 0 {
		c.own("as", "i.as_number <> 0 AND i.as_number IN ("+database.Marks(len(f.AS))+")", integers(f.AS)...)
	}
	c.flags(f)
	if f.Text != "" {
		if err := v.text(c, f.Text); err != nil {
			return nil, err
		}
	}
	return c.all, nil
}

type conditionList struct{ all []condition }

// own adds a condition on a column of the incident i that has an index.
func (c *conditionList) own(name, where string, args ...any) {
	c.all = append(c.all, condition{name: name, where: where, args: args, ids: "SELECT i.id FROM incident i WHERE " + where, idArgs: args})
}

// times adds the conditions on the first and the last contact. If there are both they are one
// condition, as one index has both times.
func (c *conditionList) times(f *incident.Filter, postgres bool) {
	one := condition{name: "times"}
	add := func(column, sign string, t time.Time) {
		if !t.IsZero() {
			one.bounds = append(one.bounds, bound{column, "i." + column + sign + "?", t.Unix()})
		}
	}
	add("first_seen", " <= ", f.FirstBefore)
	add("first_seen", " >= ", f.FirstAfter)
	add("last_seen", " <= ", f.LastBefore)
	add("last_seen", " >= ", f.LastAfter)
	if len(one.bounds) == 0 {
		return
	}
	both := one.bounds[0].column != one.bounds[len(one.bounds)-1].column
	table := " incident i"
	if both && !postgres {
		table = " incident i INDEXED BY incident_first_day"
	}
	var where, indexed []string
	for _, b := range one.bounds {
		where, one.args = append(where, b.where), append(one.args, b.value)
		if both && b.column == "last_seen" {
			b = b.byDay(&one.idArgs)
		}
		indexed, one.idArgs = append(indexed, b.where), append(one.idArgs, b.value)
	}
	one.where = strings.Join(where, " AND ")
	one.ids = "SELECT i.id FROM" + table + " WHERE " + strings.Join(indexed, " AND ")
	add("first_seen", " <= ", f.LastBefore) // the first contact is never after the last one
	add("last_seen", " >= ", f.FirstAfter)
	c.all = append(c.all, one)
}

// byDay is the same bound of last_seen, decided by last_day where the day is another one: the
// index has the day alone, because it would move with each contact otherwise.
func (b bound) byDay(args *[]any) bound {
	day := int64(incident.DayOf(schema.Time(b.value)))
	*args = append(*args, day, day)
	b.where = strings.Replace("(i.last_day S= ? AND (i.last_day S ? OR "+b.where+"))", "S", sign(b.where), 2)
	return b
}

func sign(where string) string {
	if strings.Contains(where, "<") {
		return "<"
	}
	return ">"
}

// link adds a condition on rows of another table that belong to the incident.
func (c *conditionList) link(name, table, where string, args ...any) {
	has, ids := linked(table, where)
	c.all = append(c.all, condition{name: name, where: has, args: args, ids: ids, idArgs: args})
}

// linked gives the condition that an incident i has such rows of a table x, and the query that
// finds all that have.
func linked(table, where string) (has, ids string) {
	return "EXISTS (SELECT 1 FROM " + table + " WHERE x.incident = i.id AND " + where + ")", "SELECT DISTINCT x.incident AS id FROM " + table + " WHERE " + where
}

func (c *conditionList) links(f *incident.Filter) {
	if len(f.Feeds) > 0 {
		c.link("feed", "incident_feed x", "x.feed IN (SELECT id FROM feed WHERE name IN ("+database.Marks(len(f.Feeds))+"))", values(f.Feeds)...)
	}
	if len(f.Categories) > 0 {
		c.link("category", "incident_feed x", "x.category IN ("+database.Marks(len(f.Categories))+")", values(f.Categories)...)
	}
}

// ports adds the condition that one of the services was used. Of a port of any protocol those
// services are looked for that there are.
func (v *view) ports(c *conditionList, list []incident.ServiceFilter) error {
	var parts []string
	var args []any
	for _, s := range list {
		switch {
		case s.AnyProtocol:
			used, err := v.used(s.Port)
			if err != nil {
				return err
			}
			if len(used) > 0 {
				parts = append(parts, "x.service IN ("+numbers(used)+")")
			}
		case s.AnyPort:
			parts, args = append(parts, "x.service BETWEEN ? AND ?"), append(args, int64(s.Protocol)<<16, int64(s.Protocol)<<16|65535)
		default:
			parts, args = append(parts, "x.service = ?"), append(args, int64(s.Protocol)<<16|int64(s.Port))
		}
	}
	if len(parts) == 0 {
		parts = []string{"x.service < 0"}
	}
	c.link("service", "incident_service x", "("+strings.Join(parts, " OR ")+")", args...)
	return nil
}

// used gives the services of a port, whatever their protocol, that any incident has.
func (v *view) used(port uint16) ([]int64, error) {
	of := make([]int64, 256)
	for p := range of {
		of[p] = int64(p)<<16 | int64(port)
	}
	return v.list(new(database.Query).Add("WITH n(service) AS (VALUES (" + strings.ReplaceAll(numbers(of), ",", "), (") + ")) SELECT service FROM n" +
		" WHERE (SELECT x.service FROM incident_service x WHERE x.service = n.service LIMIT 1) IS NOT NULL"))
}

// ranges gives a condition on a column with an address.
func ranges(column string, all []span.Range) (where string, args []any) {
	parts := make([]string, len(all))
	for i, r := range all {
		parts[i] = column + " BETWEEN ? AND ?"
		args = append(args, schema.Key(r.From.Addr()), schema.Key(r.To.Addr()))
	}
	if len(parts) == 0 {
		return "1 = 0", nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

func (c *conditionList) addresses(f *incident.Filter) {
	if len(f.Offenders) > 0 {
		where, args := ranges("i.offender", span.OfAll(f.Offenders))
		c.own("offender", where, args...)
	}
}

// maxHosts is how many hosts are chosen by their numbers.
const maxHosts = 2000

// hostsOf adds the condition that one of the incident's hosts fits. PostgreSQL gets their numbers,
// as it does not know otherwise how many incidents have one of them.
func (v *view) hostsOf(c *conditionList, f *incident.Filter) error {
	where, args := ours(f)
	if where == "" {
		return nil
	}
	if v.postgres {
		ids, err := v.list(new(database.Query).Add("SELECT h.id FROM host h WHERE "+where+" LIMIT ?", append(slices.Clone(args), int64(maxHosts+1))...))
		if err != nil {
			return err
		}
		if n := len(ids); n > 0 && n <= maxHosts {
			c.link("host", "incident_host x", "x.host IN ("+numbers(ids)+")")
			return nil
		}
	}
	c.link("host", "incident_host x JOIN host h ON h.id = x.host", where, args...)
	return nil
}

// ours is the condition that a filter has for a host h of ours; empty = none.
func ours(f *incident.Filter) (where string, args []any) {
	var parts []string
	if len(f.Hosts) > 0 {
		where, args = ranges("h.address", span.OfAll(f.Hosts))
		parts = append(parts, where)
	}
	if len(f.Sites) > 0 {
		parts, args = append(parts, "h.site IN ("+database.Marks(len(f.Sites))+")"), append(args, values(f.Sites)...)
	}
	return strings.Join(parts, " AND "), args
}

// flagged are the conditions on flags that have an index of their own, in the words of that
// index.
var flagged = map[batch.Flags]string{
	batch.Answered: "(i.flags & 2) <> 0", batch.Inbound: "(i.flags & 8) <> 0", batch.Outbound: "(i.flags & 16) <> 0",
	batch.Internal: "(i.flags & 32) <> 0", batch.Transit: "(i.flags & 64) <> 0", batch.Retro: "(i.flags & 512) <> 0",
}

func (c *conditionList) flags(f *incident.Filter) {
	c.choice("answered", batch.Answered, f.Answered)
	if len(f.Directions) > 0 {
		of := map[event.Direction]batch.Flags{event.Inbound: batch.Inbound, event.Outbound: batch.Outbound, event.Internal: batch.Internal, event.Transit: batch.Transit}
		var mask batch.Flags
		one := condition{name: "direction"}
		for _, d := range f.Directions {
			mask |= of[d]
			one.parts = append(one.parts, part{ids: "SELECT i.id FROM incident i WHERE " + flagged[of[d]]})
			one.scanned = one.scanned || d == event.Inbound // nearly all, and without an index
		}
		one.where, one.args = "(i.flags & ?) <> 0", []any{int64(mask)}
		one.unite()
		c.all = append(c.all, one)
	}
	c.choice("retro", batch.Retro, f.Retro)
}

func (c *conditionList) choice(name string, flag batch.Flags, is incident.Choice) {
	where := flagged[flag]
	if is == incident.No {
		where = strings.Replace(where, "<>", "=", 1)
	}
	if is != incident.Any {
		c.all = append(c.all, condition{name: name, where: where, ids: "SELECT i.id FROM incident i WHERE " + where, scanned: is == incident.No})
	}
}
