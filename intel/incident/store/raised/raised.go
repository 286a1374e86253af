// Package raised reads the alerts that the store of incidents keeps: by time, by the offender or
// the host of ours that they are about, and for a report what each rule has found in each group,
// with its evidence.
package raised

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Each runs a query, and calls row for each of its rows.
type Each func(q *database.Query, row func(*sql.Rows) error) error

const alertColumns = "id, time, name, severity, offender, host, reason, tlp, evidence"

// scanAlert reads an alert.
func scanAlert(rows *sql.Rows) (a incident.Alert, err error) {
	var id, offender, host, evidence []byte
	var when, severity int64
	if err := rows.Scan(&id, &when, &a.Name, &severity, &offender, &host, &a.Reason, &a.TLP, &evidence); err != nil {
		return a, err
	}
	copy(a.ID[:], id)
	a.Time, a.Severity = schema.Time(when), min(event.Severity(severity), event.Critical)
	a.Offender, a.Host = schema.Addr(offender), schema.Addr(host)
	if len(evidence) > 0 && json.Unmarshal(evidence, &a.Evidence) != nil {
		a.Evidence = nil // the alert itself is still worth showing
	}
	return a, nil
}

// Alerts gives alerts from a time on, the newest first, at most so many: all of them, or where
// about is an address, those about it as an offender or as a host of ours.
func Alerts(each Each, about netip.Addr, since time.Time, most int) (list []incident.Alert, err error) {
	take := func(rows *sql.Rows) error {
		a, err := scanAlert(rows)
		list = append(list, a)
		return err
	}
	if !about.IsValid() {
		err := each(new(database.Query).Add("SELECT "+alertColumns+" FROM alert WHERE time >= ? ORDER BY time DESC, id LIMIT ?", since.Unix(), int64(most)), take)
		return list, err
	}
	key := schema.Key(about.Unmap())
	// Two questions, as each has an index of its own.
	for _, column := range []string{"offender", "host"} {
		q := new(database.Query).Add("SELECT "+alertColumns+" FROM alert WHERE "+column+" = ? AND length("+column+") > 0 AND time >= ? ORDER BY time DESC, id LIMIT ?", key, since.Unix(), int64(most))
		if err := each(q, take); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b incident.Alert) int {
		return cmp.Or(b.Time.Compare(a.Time), slices.Compare(a.ID[:], b.ID[:]))
	})
	list = slices.CompactFunc(list, func(a, b incident.Alert) bool { return a.ID == b.ID })
	return list[:min(len(list), most)], nil
}

// In collects what rules have found in a period.
func In(each Each, p *incident.Period) error {
	places := map[string]int{}
	q := new(database.Query).Add("SELECT "+alertColumns+" FROM alert WHERE time >= ? AND time < ? AND evidence <> '' ORDER BY severity DESC, time, id", p.From.Unix(), p.Until.Unix())
	err := each(q, func(rows *sql.Rows) error {
		a, err := scanAlert(rows)
		if err != nil || a.Evidence == nil {
			return err
		}
		key := a.Evidence.Key()
		n, ok := places[key]
		switch {
		case !ok && len(p.Raised) == incident.MaxRaised:
			p.MoreRaised++
			return nil
		case !ok:
			n = len(p.Raised)
			places[key] = n
			p.Raised = append(p.Raised, incident.Raised{Alert: a, First: a.Time})
		}
		r := &p.Raised[n]
		r.Times++
		if a.Time.Before(r.First) {
			r.First = a.Time
		}
		if a.Time.After(r.Last) {
			r.Last = a.Time
		}
		if a.Evidence.Count > r.Evidence.Count {
			r.Alert = a
		}
		return nil
	})
	slices.SortStableFunc(p.Raised, func(a, b incident.Raised) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.First.Compare(b.First))
	})
	return err
}
