// Package forget removes from the database of incidents what is older than it is to be kept, and
// what is too much, in steps that hold no long lock: see [Run].
package forget

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// contactKeep is how long a contact is remembered after its last event: longer than the
// journal keeps one.
const contactKeep = 8 * 24 * time.Hour

// step is how many rows one transaction of Prune looks at, so that no commit waits long.
const step = 500

// maxAlerts is how many alerts are kept, the newest.
const maxAlerts = 100_000

// Pruned is what was forgotten.
type Pruned struct {
	Old      uint64 // incidents that were silent for too long
	Over     uint64 // incidents that were too many: the least severe, longest silent
	Contacts uint64 // that were not seen for eight days
	Alerts   uint64
}

// Limits are what is kept.
type Limits struct {
	// Keep is how long an incident is kept after its last contact, Judged that of a false alarm
	// or one that is taken. 0 = for ever.
	Keep, Judged time.Duration
	Max          int   // incidents; 0 = any number
	Now          int64 // seconds since 1970
}

// A Base is the database to forget in.
type Base struct {
	Read func() *sql.DB
	// Write runs f in a transaction of its own.
	Write func(ctx context.Context, f func(*database.Tx) error) error
	// Recount sums a host of ours up anew, after incidents of it were forgotten.
	Recount func(t *database.Tx, host int64) error
}

// A run is one pass.
type run struct {
	Base
	Limits
	ctx   context.Context
	done  Pruned
	hosts map[int64]bool // of what was forgotten
}

// Run forgets what is older than it is to be kept, and what is too much: of incidents the
// least severe, and of these the longest silent; those that are taken or a false alarm last.
// It is done in many small transactions, and goes on where it was when it is called again
// after an error.
func Run(ctx context.Context, b Base, l Limits) (Pruned, error) {
	r := &run{Base: b, Limits: l, ctx: ctx, hosts: map[int64]bool{}}
	err := r.old()
	if err == nil {
		err = r.over()
	}
	if err = errors.Join(err, r.recount()); err != nil {
		return r.done, err
	}
	for _, step := range []func() error{r.contacts, r.days, r.rest} {
		if err := step(); err != nil {
			return r.done, err
		}
	}
	return r.done, nil
}

// dayKeep is for how many days there are sums of each day.
const dayKeep = 366

// days forgets the sums of days that are more than dayKeep ago. An incident that is seen year
// after year keeps those of the last year.
func (r *run) days() error {
	before := int64(incident.DayOf(time.Unix(r.Now, 0))) - dayKeep
	for more := true; more; {
		err := r.Write(r.ctx, func(w *database.Tx) error {
			gone, err := w.Exec(`DELETE FROM incident_day WHERE day = (SELECT min(day) FROM incident_day) AND day < $1 AND incident IN (
				SELECT incident FROM incident_day WHERE day = (SELECT min(day) FROM incident_day) ORDER BY incident LIMIT $2)`, before, int64(20*step))
			if err != nil {
				return err
			}
			n, err := gone.RowsAffected()
			more = n > 0
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judged are the states that Judged holds for.
const judged = "state IN (2, 4)" // Taken, FalseAlarm

// old forgets incidents by age.
func (r *run) old() error {
	for _, x := range []struct {
		keep  time.Duration
		where string
	}{{r.Keep, "NOT " + judged}, {r.Judged, judged}} {
		if x.keep <= 0 {
			continue
		}
		query := "SELECT id FROM incident WHERE last_seen < $1 AND " + x.where + " ORDER BY last_seen LIMIT $2"
		if err := r.forget(&r.done.Old, -1, query, r.Now-int64(x.keep/time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// over forgets incidents that are too many.
func (r *run) over() error {
	var have int64
	if err := r.Read().QueryRowContext(r.ctx, "SELECT count(*) FROM incident").Scan(&have); err != nil {
		return err
	}
	over := have - int64(r.Max)
	if r.Max <= 0 || over <= 0 {
		return nil
	}
	for _, where := range []string{"NOT " + judged, judged} {
		for worst := 0; worst <= 3; worst++ {
			left := over - int64(r.done.Over)
			if left <= 0 {
				return nil
			}
			err := r.forget(&r.done.Over, left, "SELECT id FROM incident WHERE worst = $1 AND "+where+" ORDER BY last_seen LIMIT $2", int64(worst))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// forget deletes incidents that a query gives, at most so many, -1 = all, a step at a time.
func (r *run) forget(n *uint64, most int64, query string, arg int64) error {
	for most != 0 {
		limit := int64(step)
		if most > 0 {
			limit = min(limit, most)
		}
		var deleted int64
		err := r.Write(r.ctx, func(w *database.Tx) error {
			ids, err := numbers(w, query, arg, limit)
			if err != nil {
				return err
			}
			deleted = int64(len(ids))
			return r.removeAll(w, ids)
		})
		if err != nil || deleted == 0 {
			return err
		}
		*n += uint64(deleted)
		if most > 0 {
			most -= deleted
		}
	}
	return nil
}

// numbers reads numbers.
func numbers(w *database.Tx, query string, args ...any) (ids []int64, err error) {
	err = w.Each(query, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, args...)
	return ids, err
}

// belonging are the tables that have rows of an incident, beside the days.
var belonging = []string{"incident_text", "incident_host", "incident_service", "incident_feed", "note", "audit"}

// removeAll deletes incidents, and notes their hosts.
func (r *run) removeAll(w *database.Tx, ids []int64) error {
	for _, id := range ids {
		hosts, err := numbers(w, "SELECT host FROM incident_host WHERE incident = $1", id)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			r.hosts[h] = true
		}
		if err := remove(w, id); err != nil {
			return err
		}
	}
	return nil
}

// recount sums up anew what hosts have, each in a transaction of its own: one of ours may
// have met every offender there is.
func (r *run) recount() error {
	for _, h := range slices.Sorted(maps.Keys(r.hosts)) {
		if err := r.Write(r.ctx, func(w *database.Tx) error { return r.Recount(w, h) }); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an incident and all that belongs to it.
func remove(w *database.Tx, id int64) error {
	for _, table := range belonging {
		if _, err := w.Exec("DELETE FROM "+table+" WHERE incident = $1", id); err != nil {
			return err
		}
	}
	var first, last int64
	if err := w.QueryRow("SELECT first_seen, last_seen FROM incident WHERE id = $1", id).Scan(&first, &last); err != nil {
		return err
	}
	// Its days, one by one: the key begins with the day.
	for d := int64(incident.DayOf(time.Unix(max(first, last-2*dayKeep*86_400), 0))); d <= int64(incident.DayOf(time.Unix(last, 0))); d++ {
		if _, err := w.Exec("DELETE FROM incident_day WHERE day = $1 AND incident = $2", d, id); err != nil {
			return err
		}
	}
	_, err := w.Exec("DELETE FROM incident WHERE id = $1", id)
	return err
}

// contacts forgets contacts that were not seen for contactKeep. There is no index by
// that time, which every event would move: the table is looked through in the order of its
// ids, which is about that of the making of the contacts.
func (r *run) contacts() error {
	before := r.Now - int64(contactKeep/time.Second)
	for after, more := []byte{}, true; more; {
		err := r.Write(r.ctx, func(w *database.Tx) error {
			var last []byte
			seen, old := 0, []uuid.UUID(nil)
			err := w.Each("SELECT id, last_seen FROM contact WHERE id > $1 ORDER BY id LIMIT $2", func(row *sql.Rows) error {
				var id []byte
				var when int64
				err := row.Scan(&id, &when)
				seen, last = seen+1, bytes.Clone(id)
				if u, ok := uuid.FromBytes(id); ok == nil && when < before {
					old = append(old, u)
				}
				return err
			}, after, int64(20*step))
			if err != nil {
				return err
			}
			for _, id := range old {
				if _, err := w.Exec("DELETE FROM contact WHERE id = $1", id[:]); err != nil {
					return err
				}
			}
			after, more = last, seen == 20*step
			r.done.Contacts += uint64(len(old))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rest forgets alerts, days and pulses that are too old, and hosts that no incident has.
func (r *run) rest() error {
	return r.Write(r.ctx, func(w *database.Tx) error {
		keep := max(r.Keep, r.Judged)
		if keep <= 0 {
			keep = 100 * 365 * 24 * time.Hour
		}
		from := r.Now - int64(keep/time.Second)
		gone, err := w.Exec("DELETE FROM alert WHERE time < $1 OR time < (SELECT time FROM alert ORDER BY time DESC LIMIT 1 OFFSET $2)", from, int64(maxAlerts))
		if err != nil {
			return err
		}
		if n, err := gone.RowsAffected(); err == nil {
			r.done.Alerts += uint64(n)
		}
		if _, err := w.Exec("DELETE FROM pulse WHERE hour < $1", from); err != nil {
			return err
		}
		if err := mergePulses(w, r.Now-pulseKeep*86_400); err != nil {
			return err
		}
		if _, err := w.Exec("DELETE FROM host_day WHERE day < $1", int64(incident.DayOf(time.Unix(from, 0)))); err != nil {
			return err
		}
		const empty = "SELECT h.id FROM host h WHERE NOT EXISTS (SELECT 1 FROM incident_host s WHERE s.host = h.id) AND NOT EXISTS (SELECT 1 FROM host_day d WHERE d.host = h.id)"
		for _, table := range []string{"host_sum WHERE host", "host WHERE id"} {
			if _, err = w.Exec("DELETE FROM " + table + " IN (" + empty + ")"); err != nil {
				return err
			}
		}
		return nil
	})
}

// merged is the run of hours of which the rows of all runs were put together.
const merged = 0

// pulseKeep is after how many days the rows of an hour are put together: a run that could not
// write for so long has given up these hours.
const pulseKeep = 40

// mergePulses puts the rows of hours before a time together that have several: a program that
// is started again and again must not fill the table.
func mergePulses(w *database.Tx, before int64) error {
	hours, err := numbers(w, "SELECT hour FROM pulse WHERE hour < $1 GROUP BY hour HAVING count(*) > 1 ORDER BY hour LIMIT $2", before, int64(step))
	if err != nil {
		return err
	}
	for _, hour := range hours {
		var all incident.Pulse
		err := w.Each("SELECT "+schema.PulseColumns+" FROM pulse WHERE hour = $1 ORDER BY worst DESC, run", func(r *sql.Rows) error {
			p, err := schema.ScanPulse(r)
			all.Add(p.Pulse)
			return err
		}, hour)
		if err != nil {
			return err
		}
		if _, err := w.Exec("DELETE FROM pulse WHERE hour = $1", hour); err != nil {
			return err
		}
		if err := w.Put(schema.Pulse, schema.PulseValues(nil, merged, hour, &all)); err != nil {
			return fmt.Errorf("pulse: %w", err)
		}
	}
	return nil
}
