package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Committed is what a commit did.
type Committed struct {
	Events, Repeats uint64 // of the batch, and those of them that had been counted before
	New, Changed    int    // incidents
	Reopened        int    // of the changed: they were closed or false alarms
}

// chunk is how many rows are worked on at a time.
const chunk = 1024

// Commit writes a batch in one transaction. Events that were counted before are left out, so
// that a batch may be committed again when it is not certain whether an earlier try has
// succeeded. The batch is not changed. A damaged file is moved aside, and the batch goes into a
// new one.
func (s *Store) Commit(ctx context.Context, b *batch.Batch) (Committed, error) {
	var done Committed
	err := s.writes(ctx, func(w *writing) error {
		w.b, w.done = b, Committed{Events: b.Events, Repeats: b.Repeats}
		err := w.all()
		done = w.done
		return err
	})
	if err != nil {
		return Committed{}, err
	}
	s.count(done)
	return done, nil
}

// count adds a commit to the counters.
func (s *Store) count(c Committed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Commits++
	s.stats.Events += c.Events
	s.stats.Repeats += c.Repeats
	s.stats.Changed += uint64(c.Changed)
	s.stats.Reopened += uint64(c.Reopened)
	s.stats.Incidents += int64(c.New)
}

// A writing is one transaction under way: a commit, which has a batch, or another change.
type writing struct {
	*database.Tx
	b    *batch.Batch
	now  int64
	done Committed

	changes []change // of each contact of the batch
	hosts   []int64  // numbers of the hosts of the batch
	feeds   map[string]int64
	hostDay map[hostDay]incident.Sums
	hostSum map[int64]*hostSum
	counter map[string]int64 // numbers given so far, where any were
}

type hostDay struct{ day, host int64 }

// A change is what a contact of the batch adds to what was counted of it before.
type change struct {
	fresh, silenced int // events
	sums            incident.Sums
	contacts        uint32
}

func (w *writing) all() error {
	w.hostDay, w.hostSum = map[hostDay]incident.Sums{}, map[int64]*hostSum{}
	for _, step := range []func() error{w.contacts, w.resolveHosts, w.resolveFeeds, w.networks, w.incidents, w.hostDays, w.hostSums, w.alerts} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// A counted is what the table contact has of a contact.
type counted struct {
	seqs   batch.Seqs
	total  incident.Sums
	counts int64
	last   int64
}

// contacts finds out what of each contact is new, and notes that it is counted.
func (w *writing) contacts() error {
	all := w.b.Contacts
	w.changes = make([]change, len(all))
	order := sorted(len(all), func(i, j int32) int {
		return cmp.Or(bytes.Compare(all[i].ID[:], all[j].ID[:]), cmp.Compare(all[i].Day, all[j].Day))
	})
	for len(order) > 0 {
		n := min(chunk, len(order))
		for n < len(order) && all[order[n]].ID == all[order[n-1]].ID { // days of one contact stay together
			n++
		}
		if err := w.someContacts(order[:n]); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

func (w *writing) someContacts(order []int32) error {
	known := make(map[uuid.UUID]*counted, len(order))
	var keys, values []any
	for _, i := range order {
		id := w.b.Contacts[i].ID
		if known[id] == nil {
			known[id] = &counted{}
			keys = append(keys, id[:])
		}
	}
	err := w.Fetch(schema.Contact, keys, func(r *sql.Rows) error { return scanCounted(r, known) })
	if err != nil {
		return err
	}
	for n, i := range order {
		c := &w.b.Contacts[i]
		k := known[c.ID]
		w.changes[i] = k.add(c)
		w.done.Repeats += uint64(bits.OnesCount64(c.Seqs.Seen) - w.changes[i].fresh)
		if n+1 == len(order) || w.b.Contacts[order[n+1]].ID != c.ID {
			values = k.values(values, c.ID)
		}
	}
	return w.Put(schema.Contact, values)
}

// add counts what is new of a contact.
func (k *counted) add(c *batch.Contact) (ch change) {
	top := k.seqs.Top
	ch.fresh, ch.silenced = k.seqs.Merge(c.Seqs)
	if ch.fresh == 0 {
		return ch
	}
	if c.Seqs.Top > top {
		ch.sums, k.total = minus(c.Total, k.total), c.Total
	}
	if n := int64(c.Counts); n > k.counts {
		ch.contacts, k.counts = uint32(n-k.counts), n
	}
	k.last = max(k.last, c.Last)
	return ch
}

// minus gives the difference of totals, which is never below zero.
func minus(a, b incident.Sums) incident.Sums {
	d := func(x, y uint64) uint64 { return x - min(x, y) }
	return incident.Sums{Flows: d(a.Flows, b.Flows), PacketsOut: d(a.PacketsOut, b.PacketsOut), PacketsIn: d(a.PacketsIn, b.PacketsIn),
		BytesOut: d(a.BytesOut, b.BytesOut), BytesIn: d(a.BytesIn, b.BytesIn)}
}

func scanCounted(r *sql.Rows, known map[uuid.UUID]*counted) error {
	var b []byte
	var n [10]int64
	if err := r.Scan(&b, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9]); err != nil {
		return err
	}
	id, err := uuid.FromBytes(b)
	if err != nil {
		return err
	}
	*known[id] = counted{
		seqs:   batch.Seqs{Top: uint32(n[0]), Seen: uint64(n[1]), Silenced: uint64(n[2])},
		total:  schema.Sums(n[3:]),
		counts: n[8], last: n[9],
	}
	return nil
}

func (k *counted) values(out []any, id uuid.UUID) []any {
	out = append(out, id[:], int64(k.seqs.Top), int64(k.seqs.Seen), int64(k.seqs.Silenced))
	return append(schema.SumsValues(out, &k.total), k.counts, k.last)
}

// sorted gives the numbers below n in an order.
func sorted(n int, compare func(i, j int32) int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, compare)
	return order
}

// resolveHosts finds the numbers of the hosts of the batch, and makes those that are new.
func (w *writing) resolveHosts() error {
	all := w.b.Hosts
	w.hosts = make([]int64, len(all))
	known := make(map[incident.Host]int64, len(all))
	keys, values := make([]any, 0, 2*len(all)), []any(nil)
	for _, h := range all {
		keys = append(keys, schema.Key(h.Addr), h.Site)
	}
	err := w.Fetch(schema.Host, keys, func(r *sql.Rows) error {
		var a []byte
		var site string
		var id int64
		err := r.Scan(&a, &site, &id)
		known[incident.Host{Site: site, Addr: schema.Addr(a)}] = id
		return err
	})
	if err != nil {
		return err
	}
	for i, h := range all {
		id, ok := known[h]
		if !ok {
			if id, err = w.number("host"); err != nil {
				return err
			}
			values = append(values, schema.Key(h.Addr), h.Site, id)
		}
		w.hosts[i] = id
	}
	return w.Put(schema.Host, values)
}

// resolveFeeds does the same for the feeds.
func (w *writing) resolveFeeds() error {
	w.feeds = map[string]int64{}
	var keys, values []any
	for i := range w.b.Offenders {
		for _, l := range w.b.Offenders[i].Listings {
			if name := w.b.Text(l.Feed); w.feeds[name] == 0 {
				w.feeds[name] = -1
				keys = append(keys, name)
			}
		}
	}
	err := w.Fetch(schema.Feed, keys, func(r *sql.Rows) error {
		var name string
		var id int64
		err := r.Scan(&name, &id)
		w.feeds[name] = id
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if name := k.(string); w.feeds[name] == -1 {
			if w.feeds[name], err = w.number("feed"); err != nil {
				return err
			}
			values = append(values, name, w.feeds[name])
		}
	}
	return w.Put(schema.Feed, values)
}

// number gives the next number of a table. Numbers are never given twice.
func (w *writing) number(table string) (int64, error) {
	n, ok := w.counter[table]
	if !ok {
		err := w.QueryRow("SELECT value FROM counter WHERE name = $1", table).Scan(&n)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, fmt.Errorf("counter: %w", err)
		}
	}
	w.counter[table] = n + 1
	return n + 1, nil
}

func (w *writing) keepCounters() error {
	for name, n := range w.counter {
		_, err := w.Exec("INSERT INTO counter (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, n)
		if err != nil {
			return fmt.Errorf("counter: %w", err)
		}
	}
	return nil
}

// hostDays writes what was added to the days of hosts.
func (w *writing) hostDays() error {
	if err := w.countDays(); err != nil {
		return err
	}
	values := make([]any, 0, 5*len(w.hostDay))
	for k, s := range w.hostDay {
		values = append(values, k.day, k.host, database.Count(s.Flows), database.Count(s.BytesOut), database.Count(s.BytesIn))
	}
	return w.Put(schema.HostDay, values)
}

// alerts writes the alerts. One that is there stays.
func (w *writing) alerts() error {
	var values []any
	for i := range w.b.Alerts {
		a := &w.b.Alerts[i]
		evidence := ""
		if a.Evidence != nil {
			b, err := json.Marshal(a.Evidence)
			if err != nil {
				return err
			}
			evidence = string(b)
		}
		values = append(values, a.ID[:], a.Time.Unix(), a.Name, int64(a.Severity), keyOrEmpty(a.Offender), a.Reason, a.TLP, keyOrEmpty(a.Host), evidence)
	}
	return w.Put(schema.Alert, values)
}

// keyOrEmpty is the key of an address, empty for none.
func keyOrEmpty(a netip.Addr) []byte {
	if !a.IsValid() {
		return []byte{}
	}
	return schema.Key(a)
}
