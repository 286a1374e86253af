package store

import (
	"bytes"
	"cmp"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// A target is an incident that a batch changes.
type target struct {
	number int64
	isNew  bool
	from   *batch.Offender
	news   []int32 // contacts of the batch with something new
}

// A piece is a target with its row, which is at hand only while it is written: rows of all
// targets would take more memory than the batch.
type piece struct {
	*target
	row
	was row
}

// incidents adds what is new to the incidents, in the order of their numbers, in which they
// stand in the file.
func (w *writing) incidents() error {
	targets := w.targets()
	if err := w.numbers(targets); err != nil {
		return err
	}
	slices.SortFunc(targets, func(a, b target) int { return cmp.Compare(a.number, b.number) })
	for some := range slices.Chunk(targets, chunk/2) {
		p := &part{writing: w, pieces: pieces(some), shares: map[pair]*share{}, services: map[pair]*service{}, days: map[pair]*day{}}
		if err := p.write(); err != nil {
			return err
		}
	}
	return nil
}

// pieces makes pieces of targets, whose rows are to be read.
func pieces(targets []target) []*piece {
	list := make([]*piece, len(targets))
	for i := range targets {
		list[i] = &piece{target: &targets[i], row: row{id: targets[i].number}}
	}
	return list
}

// targets finds the incidents that are changed, in the order of their addresses.
func (w *writing) targets() []target {
	all := w.b.Contacts
	order := sorted(len(all), func(i, j int32) int { return cmp.Or(cmp.Compare(all[i].Offender, all[j].Offender), cmp.Compare(i, j)) })
	order = slices.DeleteFunc(order, func(i int32) bool { return w.changes[i].fresh == 0 })
	var list []target
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && all[order[to]].Offender == all[order[from]].Offender {
			to++
		}
		list = append(list, target{from: &w.b.Offenders[all[order[from]].Offender], news: order[from:to]})
		from = to
	}
	slices.SortFunc(list, func(a, b target) int { return bytes.Compare(schema.Key(a.from.Addr), schema.Key(b.from.Addr)) })
	return list
}

// numbers finds the numbers of incidents, or gives them one.
func (w *writing) numbers(list []target) error {
	for some := range slices.Chunk(list, chunk) {
		known := make(map[[16]byte]int64, len(some))
		keys := make([]any, len(some))
		for i, p := range some {
			keys[i] = schema.Key(p.from.Addr)
		}
		err := w.Fetch(schema.IncidentNumber, keys, func(r *sql.Rows) error {
			var a []byte
			var id int64
			err := r.Scan(&a, &id)
			known[[16]byte(a)] = id
			return err
		})
		if err != nil {
			return err
		}
		for i := range some {
			p := &some[i]
			if p.number = known[p.from.Addr.As16()]; p.number == 0 {
				p.isNew = true
				if p.number, err = w.number("incident"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// A pair is the key of a row that belongs to an incident: with a host, a service, or a day.
type pair struct{ incident, other int64 }

// A part is some incidents that are written together, with all rows that belong to them.
type part struct {
	*writing
	pieces   []*piece
	shares   map[pair]*share
	services map[pair]*service
	days     map[pair]*day
}

// A share is a row of incident_host.
type share struct {
	isNew             bool
	sums              incident.Sums
	first, last, days int64
	worst             int64
	flags             batch.Flags
}

// A service is a row of incident_service: what is added to its flows.
type service struct {
	isNew bool
	flows uint64
}

// A day is a row of incident_day: what is added to it.
type day struct {
	isNew bool
	sums  incident.Sums
}

// write reads the rows, adds what is new, and writes them.
func (p *part) write() error {
	for _, step := range []func() error{p.readRows, p.readShares, p.readServices, p.readDays} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, x := range p.pieces {
		if err := p.merge(x); err != nil {
			return err
		}
	}
	for _, step := range []func() error{p.putRows, p.putShares, p.putServices, p.putDays} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) readRows() error {
	known := make(map[int64]*piece, len(p.pieces))
	var keys []any
	for _, x := range p.pieces {
		if x.isNew {
			o := x.from
			x.row = row{offender: o.Addr, id: x.id, state: incident.New, since: p.now, first: math.MaxInt64, lastDay: -1 << 31, worst: o.Worst, score: o.Score}
			continue
		}
		known[x.id] = x
		keys = append(keys, x.id)
	}
	return p.Fetch(schema.Incident, keys, func(r *sql.Rows) error {
		row, err := scanRow(r)
		if err == nil {
			known[row.id].row = *row
		}
		return err
	})
}

func (p *part) readShares() error {
	var keys []any
	for _, x := range p.pieces {
		for _, i := range x.news {
			h := p.b.Contacts[i].Host
			if h < 0 {
				continue
			}
			k := pair{x.id, p.hosts[h]}
			if p.shares[k] == nil {
				p.shares[k] = &share{isNew: true}
				if !x.isNew {
					keys = append(keys, k.incident, k.other)
				}
			}
		}
	}
	return p.Fetch(schema.IncidentHost, keys, func(r *sql.Rows) error {
		var k pair
		var s share
		var n [6]int64
		err := r.Scan(&k.incident, &k.other, &n[0], &n[1], &n[2], &n[3], &n[4], &s.first, &s.last, &s.days, &s.worst, &n[5])
		s.sums, s.flags = schema.Sums(n[:]), batch.Flags(n[5])
		*p.shares[k] = s
		return err
	})
}

func (p *part) readServices() error {
	var keys []any
	for _, x := range p.pieces {
		for _, i := range x.news {
			c := &p.b.Contacts[i]
			k := pair{x.id, serviceOf(c)}
			if c.Service && p.services[k] == nil {
				p.services[k] = &service{isNew: true}
				if !x.isNew {
					keys = append(keys, k.incident, k.other)
				}
			}
		}
	}
	return p.Fetch(schema.IncidentService, keys, func(r *sql.Rows) error {
		var k pair
		var flows int64
		err := r.Scan(&k.incident, &k.other, &flows)
		p.services[k].isNew = false
		return err
	})
}

func serviceOf(c *batch.Contact) int64 { return int64(c.Protocol)<<16 | int64(c.Port) }

// readDays finds which days of the batch the incidents have: most often it is the last one
// or one after it.
func (p *part) readDays() error {
	var keys []any
	for _, x := range p.pieces {
		for _, i := range x.news {
			c := &p.b.Contacts[i]
			for _, d := range [...]int64{int64(c.Day), firstDay(c)} {
				k := pair{x.id, d}
				if p.days[k] != nil {
					continue
				}
				p.days[k] = &day{isNew: d != x.lastDay}
				if d < x.lastDay {
					keys = append(keys, d, x.id)
				}
			}
		}
	}
	return p.Fetch(schema.IncidentDay, keys, func(r *sql.Rows) error {
		var k pair
		var rest [3]int64
		err := r.Scan(&k.other, &k.incident, &rest[0], &rest[1], &rest[2])
		p.days[k].isNew = false
		return err
	})
}

// firstDay is the day of a contact before its last that is known to have had flows: only
// what is found in the history has one.
func firstDay(c *batch.Contact) int64 {
	if c.Flags&batch.Retro != 0 {
		return int64(incident.DayOf(schema.Time(c.First)))
	}
	return int64(c.Day)
}

// merge adds what is new of one incident.
func (p *part) merge(x *piece) error {
	x.was = x.row
	seen := sight{}
	for _, i := range x.news {
		c, ch := &p.b.Contacts[i], &p.changes[i]
		x.addContact(c, ch)
		p.addHost(x, c, ch)
		p.addService(x, c, ch)
		p.addDays(x, c, ch)
		seen.add(x, c, ch)
	}
	o := x.from
	worse := x.isNew || o.Worst > x.worst || o.Worst == x.worst && o.Score > x.score
	if worse {
		x.worst, x.score = o.Worst, o.Score
	}
	if o.Country != [2]byte{} {
		x.country = string(o.Country[:])
	}
	if o.ASNumber != 0 {
		x.asNumber = o.ASNumber
	}
	x.bound()
	p.done.Changed++
	if x.isNew {
		p.done.New++
	}
	if err := p.texts(x, worse); err != nil {
		return err
	}
	return p.judge(x, &seen)
}

func (x *piece) addContact(c *batch.Contact, ch *change) {
	x.first, x.last = min(x.first, c.First), max(x.last, c.Last)
	x.sums.Add(ch.sums)
	x.contacts += int64(ch.contacts)
	x.flags |= c.Flags
	if c.Flags&batch.Folded != 0 && c.Host < 0 {
		x.foldedHosts = max(x.foldedHosts, int64(c.HostCount))
	}
	if c.Flags&batch.Folded != 0 && !c.Service {
		x.foldedPorts = max(x.foldedPorts, int64(c.Ports))
	}
	x.silenced += int64(ch.silenced)
}

func (p *part) addHost(x *piece, c *batch.Contact, ch *change) {
	if c.Host < 0 {
		return
	}
	host := p.hosts[c.Host]
	s, sum := p.shares[pair{x.id, host}], p.sumOf(host)
	if s.isNew && s.days == 0 {
		if x.hosts >= incident.MaxHosts {
			x.flags |= batch.MoreHosts
			return
		}
		x.hosts++
		sum.offenders++
		s.first, s.last, s.days = c.First, c.Last, 1
	}
	d := int64(c.Day)
	if d > int64(incident.DayOf(schema.Time(s.last))) || d < int64(incident.DayOf(schema.Time(s.first))) {
		s.days++
	}
	s.sums.Add(ch.sums)
	s.first, s.last = min(s.first, c.First), max(s.last, c.Last)
	s.worst = max(s.worst, int64(c.Worst))
	s.flags |= c.Flags
	sum.add(c, ch)
	k := hostDay{d, host}
	day := p.hostDay[k]
	day.Add(ch.sums)
	p.hostDay[k] = day
}

func (p *part) addService(x *piece, c *batch.Contact, ch *change) {
	if !c.Service {
		return
	}
	k := pair{x.id, serviceOf(c)}
	s := p.services[k]
	if s.isNew {
		if x.ports >= incident.MaxPorts {
			x.flags |= batch.MorePorts
			delete(p.services, k)
			return
		}
		x.ports++
		s.isNew = false
	}
	s.flows += ch.sums.Flows
}

func (p *part) addDays(x *piece, c *batch.Contact, ch *change) {
	for _, d := range [...]int64{firstDay(c), int64(c.Day)} {
		k := p.days[pair{x.id, d}]
		if k.isNew {
			k.isNew = false
			x.days++
		}
		x.lastDay = max(x.lastDay, d)
	}
	p.days[pair{x.id, int64(c.Day)}].sums.Add(ch.sums)
}

// bound keeps the counts of hosts and ports at what is counted exactly.
func (x *row) bound() {
	if x.hosts+x.foldedHosts > incident.MaxHosts {
		x.foldedHosts = incident.MaxHosts - x.hosts
		x.flags |= batch.MoreHosts
	}
	if x.ports+x.foldedPorts > incident.MaxPorts {
		x.foldedPorts = incident.MaxPorts - x.ports
		x.flags |= batch.MorePorts
	}
}

func (p *part) putRows() error {
	values := make([]any, 0, len(schema.Incident.Columns)*len(p.pieces))
	for _, x := range p.pieces {
		values = x.values(values)
	}
	if p.Postgres() {
		return p.Put(schema.WholeIncident, values)
	}
	if err := p.Put(schema.Incident, values); err != nil {
		return err
	}
	for _, x := range p.pieces {
		if err := p.putKeys(x); err != nil {
			return err
		}
	}
	return nil
}

// putKeys writes those columns that an index has and that changed: SQLite writes a page of an
// index even when its column gets the same value again.
func (p *part) putKeys(x *piece) error {
	if x.isNew {
		return nil
	}
	var set []string
	var args []any
	was := x.was.keys()
	for i, v := range x.keys() {
		if v != was[i] {
			args = append(args, v)
			set = append(set, fmt.Sprintf("%s = $%d", schema.KeyColumns[i], len(args)))
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, err := p.Exec(fmt.Sprintf("UPDATE incident SET %s WHERE id = $%d", strings.Join(set, ", "), len(args)+1), append(args, x.id)...)
	return err
}

func (p *part) putShares() error {
	values := make([]any, 0, len(schema.IncidentHost.Columns)*len(p.shares))
	for _, k := range pairs(p.shares) {
		s := p.shares[k]
		if s.days == 0 {
			continue // there are too many
		}
		values = schema.SumsValues(append(values, k.incident, k.other), &s.sums)
		values = append(values, s.first, s.last, s.days, s.worst, int64(s.flags))
	}
	return p.Put(schema.IncidentHost, values)
}

func (p *part) putServices() error {
	values := make([]any, 0, 3*len(p.services))
	for _, k := range pairs(p.services) {
		values = append(values, k.incident, k.other, database.Count(p.services[k].flows))
	}
	return p.Put(schema.IncidentService, values)
}

func (p *part) putDays() error {
	values := make([]any, 0, 5*len(p.days))
	for _, k := range pairs(p.days) {
		s := &p.days[k].sums
		values = append(values, k.other, k.incident, database.Count(s.Flows), database.Count(s.BytesOut), database.Count(s.BytesIn))
	}
	return p.Put(schema.IncidentDay, values)
}

// pairs gives the keys in the order of their rows.
func pairs[V any](m map[pair]V) []pair {
	keys := make([]pair, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pair) int { return cmp.Or(cmp.Compare(a.incident, b.incident), cmp.Compare(a.other, b.other)) })
	return keys
}
