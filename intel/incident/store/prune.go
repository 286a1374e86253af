package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/incident"
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

// Prune forgets what is older than it is to be kept, and what is too much: of incidents the
// least severe, and of these the longest silent; those that are taken or a false alarm last.
// Once a day it checks the SQLite file, see [Store.Check].
// It is done in many small transactions, and goes on where it was when it is called again
// after an error.
func (s *Store) Prune(ctx context.Context) (p Pruned, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t := &s.stats.Pruned
		t.Old, t.Over, t.Contacts, t.Alerts = t.Old+p.Old, t.Over+p.Over, t.Contacts+p.Contacts, t.Alerts+p.Alerts
	}()
	now := s.cfg.Now().Unix()
	if err = s.checkDaily(ctx, now); err != nil {
		return p, err
	}
	hosts := map[int64]bool{}
	err = s.pruneOld(ctx, now, &p.Old, hosts)
	if err == nil {
		err = s.pruneOver(ctx, &p.Over, hosts)
	}
	if err = errors.Join(err, s.recount(ctx, hosts)); err != nil {
		return p, err
	}
	if err = s.pruneContacts(ctx, now-int64(contactKeep/time.Second), &p.Contacts); err != nil {
		return p, err
	}
	if err = s.pruneDays(ctx, int64(incident.DayOf(at(now)))-dayKeep); err != nil {
		return p, err
	}
	return p, s.pruneRest(ctx, now, &p.Alerts)
}

// dayKeep is for how many days there are sums of each day.
const dayKeep = 366

// pruneDays forgets the sums of days before one. An incident that is seen year after year
// keeps those of the last year.
func (s *Store) pruneDays(ctx context.Context, before int64) error {
	for more := true; more; {
		err := s.writes(ctx, func(w *writing) error {
			r, err := w.Exec(`DELETE FROM incident_day WHERE day = (SELECT min(day) FROM incident_day) AND day < $1 AND incident IN (
				SELECT incident FROM incident_day WHERE day = (SELECT min(day) FROM incident_day) ORDER BY incident LIMIT $2)`, before, int64(20*step))
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			more = n > 0
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDaily reads the whole file once a day, because a page that is never used again shows
// its damage to nobody until it is needed.
func (s *Store) checkDaily(ctx context.Context, now int64) error {
	s.mu.Lock()
	due := now-s.checked >= 86_400
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.Check(ctx)
}

// judged are the states that KeepJudged holds for.
const judged = "state IN (2, 4)" // Taken, FalseAlarm

// pruneOld forgets incidents by age.
func (s *Store) pruneOld(ctx context.Context, now int64, n *uint64, hosts map[int64]bool) error {
	keep, keepJudged, _ := s.keeps()
	for _, x := range []struct {
		keep  time.Duration
		where string
	}{{keep, "NOT " + judged}, {keepJudged, judged}} {
		if x.keep <= 0 {
			continue
		}
		query := "SELECT id FROM incident WHERE last_seen < $1 AND " + x.where + " ORDER BY last_seen LIMIT $2"
		if err := s.forget(ctx, n, hosts, -1, query, now-int64(x.keep/time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// pruneOver forgets incidents that are too many.
func (s *Store) pruneOver(ctx context.Context, n *uint64, hosts map[int64]bool) error {
	var have int64
	if err := s.db.Read().QueryRowContext(ctx, "SELECT count(*) FROM incident").Scan(&have); err != nil {
		return err
	}
	s.mu.Lock()
	s.stats.Incidents = have
	s.mu.Unlock()
	_, _, most := s.keeps()
	over := have - int64(most)
	if most <= 0 || over <= 0 {
		return nil
	}
	before := *n
	for _, where := range []string{"NOT " + judged, judged} {
		for worst := 0; worst <= 3; worst++ {
			left := over - int64(*n-before)
			if left <= 0 {
				return nil
			}
			err := s.forget(ctx, n, hosts, left, "SELECT id FROM incident WHERE worst = $1 AND "+where+" ORDER BY last_seen LIMIT $2", int64(worst))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// forget deletes incidents that a query gives, at most so many, -1 = all, a step at a time.
func (s *Store) forget(ctx context.Context, n *uint64, hosts map[int64]bool, most int64, query string, arg int64) error {
	for most != 0 {
		limit := int64(step)
		if most > 0 {
			limit = min(limit, most)
		}
		var deleted int64
		err := s.writes(ctx, func(w *writing) error {
			ids, err := w.ids(query, arg, limit)
			if err != nil {
				return err
			}
			deleted = int64(len(ids))
			return w.removeAll(ids, hosts)
		})
		if err != nil || deleted == 0 {
			return err
		}
		*n += uint64(deleted)
		if most > 0 {
			most -= deleted
		}
		s.mu.Lock()
		s.stats.Incidents -= deleted
		s.mu.Unlock()
	}
	return nil
}

// ids reads numbers of incidents.
func (w *writing) ids(query string, args ...any) (ids []int64, err error) {
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
func (w *writing) removeAll(ids []int64, touched map[int64]bool) error {
	for _, id := range ids {
		hosts, err := w.ids("SELECT host FROM incident_host WHERE incident = $1", id)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			touched[h] = true
		}
		if err := w.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// recount sums up anew what hosts have, each in a transaction of its own: one of ours may
// have met every offender there is.
func (s *Store) recount(ctx context.Context, hosts map[int64]bool) error {
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		if err := s.writes(ctx, func(w *writing) error { return w.recountHosts([]int64{h}) }); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an incident and all that belongs to it.
func (w *writing) remove(id int64) error {
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
	for d := int64(incident.DayOf(at(max(first, last-2*dayKeep*86_400)))); d <= int64(incident.DayOf(at(last))); d++ {
		if _, err := w.Exec("DELETE FROM incident_day WHERE day = $1 AND incident = $2", d, id); err != nil {
			return err
		}
	}
	_, err := w.Exec("DELETE FROM incident WHERE id = $1", id)
	return err
}

// pruneContacts forgets contacts that were last seen before a time. There is no index by
// that time, which every event would move: the table is looked through in the order of its
// ids, which is about that of the making of the contacts.
func (s *Store) pruneContacts(ctx context.Context, before int64, n *uint64) error {
	for after, more := []byte{}, true; more; {
		err := s.writes(ctx, func(w *writing) error {
			var last []byte
			seen, old := 0, []uuid.UUID(nil)
			err := w.Each("SELECT id, last_seen FROM contact WHERE id > $1 ORDER BY id LIMIT $2", func(r *sql.Rows) error {
				var id []byte
				var when int64
				err := r.Scan(&id, &when)
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
			*n += uint64(len(old))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneRest forgets alerts, days and pulses that are too old, and hosts that no incident has.
func (s *Store) pruneRest(ctx context.Context, now int64, alerts *uint64) error {
	return s.writes(ctx, func(w *writing) error {
		keep, keepJudged, _ := s.keeps()
		if keep = max(keep, keepJudged); keep <= 0 {
			keep = 100 * 365 * 24 * time.Hour
		}
		from := now - int64(keep/time.Second)
		r, err := w.Exec("DELETE FROM alert WHERE time < $1 OR time < (SELECT time FROM alert ORDER BY time DESC LIMIT 1 OFFSET $2)", from, int64(maxAlerts))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err == nil {
			*alerts += uint64(n)
		}
		if _, err := w.Exec("DELETE FROM pulse WHERE hour < $1", from); err != nil {
			return err
		}
		if err := w.mergePulses(now - pulseKeep*86_400); err != nil {
			return err
		}
		if _, err := w.Exec("DELETE FROM host_day WHERE day < $1", int64(incident.DayOf(at(from)))); err != nil {
			return err
		}
		const gone = "SELECT h.id FROM host h WHERE NOT EXISTS (SELECT 1 FROM incident_host s WHERE s.host = h.id) AND NOT EXISTS (SELECT 1 FROM host_day d WHERE d.host = h.id)"
		for _, table := range []string{"host_sum WHERE host", "host WHERE id"} {
			if _, err = w.Exec("DELETE FROM " + table + " IN (" + gone + ")"); err != nil {
				return err
			}
		}
		return nil
	})
}
