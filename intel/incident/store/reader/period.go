package reader

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/raised"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Verdicts gives what became of the incidents that each feed listed, by the names of the
// feeds.
func (s *Reader) Verdicts(ctx context.Context) ([]incident.Verdict, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return v.verdicts()
}

func (v *view) verdicts() (list []incident.Verdict, err error) {
	all, judged := map[string]int{}, map[string][incident.FalseAlarm + 1]int{}
	// In the order of an index, so that nothing is sorted or kept.
	err = v.each(new(database.Query).Add(`SELECT f.name, x.n FROM (SELECT feed, count(DISTINCT incident) AS n FROM incident_feed GROUP BY feed) x
		JOIN feed f ON f.id = x.feed`), func(rows *sql.Rows) error {
		var name string
		var n int
		err := rows.Scan(&name, &n)
		all[name] = n
		return err
	})
	if err != nil {
		return nil, err
	}
	// Few are judged: they are found by their state.
	err = v.each(new(database.Query).Add(`SELECT f.name, i.state, count(DISTINCT i.id) FROM incident i CROSS JOIN incident_feed x CROSS JOIN feed f
		WHERE i.state IN (?, ?, ?) AND x.incident = i.id AND f.id = x.feed GROUP BY f.name, i.state`,
		int64(incident.Taken), int64(incident.Closed), int64(incident.FalseAlarm)), func(rows *sql.Rows) error {
		var name string
		var state, n int
		err := rows.Scan(&name, &state, &n)
		j := judged[name]
		j[state] = n
		judged[name] = j
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		j := judged[name]
		confirmed, wrong := j[incident.Taken]+j[incident.Closed], j[incident.FalseAlarm]
		list = append(list, incident.Verdict{Feed: name, Confirmed: confirmed, False: wrong, Open: all[name] - confirmed - wrong})
	}
	return list, err
}

// during begins a query of rows of incident_day x, with its incident i, of contacts at or
// after from and before to. Where these are no beginnings of days by UTC, a day that
// is cut counts whole for an incident that was there within them.
func during(selected string, from, to time.Time) *database.Query {
	first, last := incident.DayOf(from), incident.DayOf(to.Add(-time.Second))
	return new(database.Query).Add("SELECT "+selected+" FROM incident_day x CROSS JOIN incident i WHERE x.day BETWEEN ? AND ? AND i.id = x.incident AND i.last_seen >= ? AND i.first_seen < ?",
		int64(first), int64(last), from.Unix(), to.Unix())
}

// Returning counts the offenders that were seen at or after from and before to, and how many
// of them were first seen before an earlier time. Days count as for Period.
func (s *Reader) Returning(ctx context.Context, before, from, to time.Time) (seen, returned int, err error) {
	v, err := s.look(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer v.close()
	counted := new(database.Query).Wrap("WITH y AS (", during("DISTINCT i.id, i.first_seen", from, to), ") ").
		Add("SELECT count(*), coalesce(sum(CASE WHEN y.first_seen < ? THEN 1 ELSE 0 END), 0) FROM y", before.Unix())
	err = v.each(counted, func(rows *sql.Rows) error { return rows.Scan(&seen, &returned) })
	return seen, returned, err
}

// Period counts all that happened at or after from and before to. Flows and bytes of offenders
// are kept by the day, UTC: a day that is cut counts whole for an incident that was there
// within from and to. Packets are not kept by the day, and are 0.
func (s *Reader) Period(ctx context.Context, from, to time.Time) (*incident.Period, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	p := &periodSum{view: v, Period: &incident.Period{From: from, Until: to}}
	if !from.Before(to) {
		return p.Period, nil
	}
	for _, step := range []func() error{p.offenders, p.days, p.feeds, p.alerts, func() error { return raised.In(v.each, p.Period) }, p.pulses, p.others} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.Period, nil
}

type periodSum struct {
	*view
	*incident.Period
}

// offenders counts all that is of one offender each, in one pass.
func (p *periodSum) offenders() error {
	p.Attempts = incident.Attempts()
	countries, networks := incident.Places[string]{}, incident.Places[uint32]{}
	inner := during("x.incident AS id, "+total("x.flows", p.postgres)+" AS flows, "+total("x.bytes_out", p.postgres)+" AS bytes_out, "+
		total("x.bytes_in", p.postgres)+" AS bytes_in", p.From, p.Until).Add(" GROUP BY x.incident")
	q := new(database.Query).Wrap("SELECT d.id, d.flows, d.bytes_out, d.bytes_in, i.first_seen, i.worst, i.state, i.silenced, i.country, i.as_number FROM (",
		inner, ") d CROSS JOIN incident i WHERE i.id = d.id")
	err := p.each(q, func(rows *sql.Rows) error {
		var id, flows, out, in, first, worst, state, silenced, as int64
		var country string
		if err := rows.Scan(&id, &flows, &out, &in, &first, &worst, &state, &silenced, &country, &as); err != nil {
			return err
		}
		p.Offenders++
		if first >= p.From.Unix() {
			p.New++
		} else {
			p.Known++
		}
		p.Sums.Add(incident.Sums{Flows: uint64(flows), BytesOut: uint64(out), BytesIn: uint64(in)})
		p.Severities[min(event.Severity(worst), event.Critical)]++
		p.States[min(incident.State(state), incident.FalseAlarm)]++
		incident.CountAttempts(p.Attempts, uint64(flows))
		if silenced > 0 {
			p.SilencedOffenders++
			p.Silenced += uint64(silenced)
		}
		countries.Count(country, uint64(flows)).Country = country
		networks.Count(uint32(as), uint64(flows)).ASNumber = uint32(as)
		return nil
	})
	if err != nil {
		return err
	}
	p.Countries, p.Networks = countries.Most(), networks.Most()
	return p.names()
}

// names sets the names of networks.
func (p *periodSum) names() error {
	var numbers []any
	for i := range p.Networks {
		numbers = append(numbers, int64(p.Networks[i].ASNumber))
	}
	names, err := p.networkNames(numbers)
	for i := range p.Networks {
		p.Networks[i].ASName = names[int64(p.Networks[i].ASNumber)]
	}
	return err
}

func (p *periodSum) days() error {
	q := during("x.day, count(*), "+total("x.flows", p.postgres)+", "+total("x.bytes_out", p.postgres)+", "+total("x.bytes_in", p.postgres), p.From, p.Until).
		Add(" GROUP BY x.day ORDER BY x.day")
	return p.each(q, func(rows *sql.Rows) error {
		var d incident.DaySum
		var n [5]int64
		err := rows.Scan(&n[0], &n[1], &n[2], &n[3], &n[4])
		d.Offenders, d.Day = int(n[1]), incident.Day{Day: int32(n[0]), Flows: uint64(n[2]), BytesOut: uint64(n[3]), BytesIn: uint64(n[4])}
		p.Days = append(p.Days, d)
		return err
	})
}

// feeds counts the offenders that each feed listed, and those that no other did.
func (p *periodSum) feeds() error {
	verdicts, err := p.verdicts()
	if err != nil {
		return err
	}
	sums := map[string]*incident.FeedSum{}
	for _, v := range verdicts {
		sums[v.Feed] = &incident.FeedSum{Feed: v.Feed, Verdict: v}
	}
	inner := during("x.incident AS id, "+total("x.flows", p.postgres)+" AS flows", p.From, p.Until).Add(" GROUP BY x.incident")
	q := new(database.Query).Wrap("SELECT d.id, d.flows, f.name FROM (", inner, ") d CROSS JOIN incident_feed y CROSS JOIN feed f"+
		" WHERE y.incident = d.id AND f.id = y.feed ORDER BY d.id, f.name")
	var last int64 = -1
	var name string
	alone := false
	end := func() {
		if alone {
			sums[name].Unique++
		}
	}
	err = p.each(q, func(rows *sql.Rows) error {
		var id, flows int64
		var feed string
		if err := rows.Scan(&id, &flows, &feed); err != nil {
			return err
		}
		switch {
		case id != last:
			end()
			alone = true
		case feed == name:
			return nil
		default:
			alone = false
		}
		last, name = id, feed
		sums[feed].Offenders++
		sums[feed].Flows = min(sums[feed].Flows+uint64(flows), math.MaxInt64)
		return nil
	})
	end()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		p.Feeds = append(p.Feeds, *sums[name])
	}
	return err
}

func (p *periodSum) alerts() error {
	places := map[string]int{}
	q := new(database.Query).Add("SELECT name, time, severity, offender, reason, tlp FROM alert WHERE time >= ? AND time < ? ORDER BY time", p.From.Unix(), p.Until.Unix())
	err := p.each(q, func(rows *sql.Rows) error {
		var name, reason, tlp string
		var when, severity int64
		var offender []byte
		if err := rows.Scan(&name, &when, &severity, &offender, &reason, &tlp); err != nil {
			return err
		}
		n, ok := places[name]
		if !ok {
			n = len(p.Alerts)
			places[name] = n
			p.Alerts = append(p.Alerts, incident.AlertSum{Name: name, First: schema.Time(when)})
		}
		a := &p.Alerts[n]
		a.Count++
		a.Severity = max(a.Severity, event.Severity(severity))
		a.Last, a.Reason, a.Offender, a.TLP = schema.Time(when), reason, schema.Addr(offender), tlp
		return nil
	})
	slices.SortFunc(p.Alerts, func(a, b incident.AlertSum) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return err
}

// pulses gives the hours; each run of the program within an hour has a row.
func (p *periodSum) pulses() error {
	q := new(database.Query).Add("SELECT "+schema.PulseColumns+" FROM pulse WHERE hour > ? AND hour < ? ORDER BY hour, worst DESC, run", p.From.Add(-time.Hour).Unix(), p.Until.Unix())
	return p.each(q, func(rows *sql.Rows) error {
		h, err := schema.ScanPulse(rows)
		if n := len(p.Pulses); n > 0 && p.Pulses[n-1].Hour.Equal(h.Hour) {
			p.Pulses[n-1].Add(h.Pulse)
			return err
		}
		p.Pulses = append(p.Pulses, h)
		return err
	})
}

// others counts what is not of one incident.
func (p *periodSum) others() error {
	before, err := p.number(new(database.Query).Add("SELECT count(*) FROM incident WHERE first_seen < ?", p.From.Unix()))
	if err != nil {
		return err
	}
	hosts, err := p.number(new(database.Query).Add("SELECT count(DISTINCT host) FROM host_day WHERE day BETWEEN ? AND ?",
		int64(incident.DayOf(p.From)), int64(incident.DayOf(p.Until.Add(-time.Second)))))
	p.Before, p.Hosts = int(before), int(hosts)
	return err
}

// Alerts gives alerts from a time on, see [raised.Alerts].
func (s *Reader) Alerts(ctx context.Context, about netip.Addr, since time.Time, most int) ([]incident.Alert, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return raised.Alerts(v.each, about, since, most)
}
