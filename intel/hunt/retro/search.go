package retro

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/sent"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/contact"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/jobs"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// AlertFound is the name of the alert that sums up what was found for the new entries of a set.
const AlertFound = "contact_before_listing"

// sentFile has the ids of the events that were sent.
const sentFile = "sent"

// search searches the history for the entries of the jobs, and sends what it finds.
func (h *Hunter) search(ctx context.Context, known, entries []listed.Entry) (err error) {
	newest := uint32(0)
	for i := range entries {
		newest = max(newest, entries[i].Since)
	}
	if err := h.flushed(ctx, newest); err != nil {
		return err
	}
	now := h.cfg.Now()
	ids, err := sent.Open(h.cfg.Disk, filepath.Join(h.cfg.Dir, sentFile), maxSent, h.cfg.History.Keep(), now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ids.Close()) }()
	h.note(func(s *Stats) {
		s.Damaged += uint64(ids.Damaged)
		s.Forgotten += uint64(ids.Forgotten)
		s.SentIDs = uint64(ids.Len())
	})
	j := job{h: h, known: listed.NewIndex(known), newest: newest, ids: ids, left: maxContacts, sum: summary{entries: len(entries)}}
	own := slices.Clone(entries)
	own = slices.DeleteFunc(own, func(e listed.Entry) bool { return !e.Operator })
	entries = slices.DeleteFunc(entries, func(e listed.Entry) bool { return e.Operator })
	for _, list := range [][]listed.Entry{own, entries} {
		for part := range slices.Chunk(list, chunk) {
			if err := j.pass(ctx, part); err != nil {
				return err
			}
		}
	}
	h.note(func(s *Stats) { s.SentIDs = uint64(ids.Len()) })
	j.sum.tell(h)
	return nil
}

// A job is one search.
type job struct {
	h      *Hunter
	known  *listed.Index
	newest uint32 // second of the newest listing
	ids    *sent.Log
	left   int // contacts that may yet be sent one by one
	sum    summary

	// Of the pass that is under way:
	entries *listed.Index
	found   map[key]*contact.Sum
	counts  map[netip.Prefix]*count
	capped  bool
	match   struct { // of the row before
		table *lookup.Table
		addr  flow.Addr6
		port  uint16
		in    []netip.Prefix // what lists it
	}
}

// A key is a contact with what one prefix lists.
type key struct {
	prefix netip.Prefix
	contact.ID
}

// A count is how much of a prefix is only counted.
type count struct {
	rows        uint64 // contacts, as each file has them
	first, last uint32
}

// pass searches for a part of the entries.
func (j *job) pass(ctx context.Context, part []listed.Entry) error {
	j.entries = listed.NewIndex(part)
	j.found, j.counts, j.capped = make(map[key]*contact.Sum), make(map[netip.Prefix]*count), false
	began := time.Now()
	prefixes := make([]netip.Prefix, len(part))
	for i := range part {
		prefixes[i] = part[i].Prefix()
	}
	q := question.Question{Ranges: span.OfAll(prefixes), Embedding: j.h.cfg.Table().Embedding()}
	ranges := q.Searched()
	done, err := j.h.cfg.History.Search(ctx, ranges, time.Unix(int64(j.newest), 0), j.rows, func() error {
		err := j.h.wait(ctx, min(time.Since(began), longestRest))
		began = time.Now()
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range done.Bad {
		if !slices.Contains(j.sum.bad, name) {
			j.sum.bad = append(j.sum.bad, name)
		}
	}
	return j.send()
}

// rows takes in rows of one file.
func (j *job) rows(received Span, rows []row.Row) error {
	if jobs.Second(received.From) > j.newest {
		return nil // all of it met the new set
	}
	to := jobs.Second(received.To)
	for i := range rows {
		j.row(&rows[i], to)
	}
	return nil
}

// row takes in a row of a file that was received until a second.
func (j *job) row(r *row.Row, to uint32) {
	port := contact.ServicePort(r)
	carried := j.carried(r.Outside)
	for e := range covering(j.entries, r.Outside, carried) {
		if r.First >= e.Since || e.Port != 0 && e.Port != port || !j.lists(e.Prefix(), r.Outside, port) {
			continue
		}
		if j.met(r, carried, port) || to >= e.Since && j.h.hasLive(contact.OfRow(r)) {
			j.h.count(live, 1)
			continue
		}
		j.take(e, r)
	}
}

// lists reports whether the table in force has an outside address in a prefix.
func (j *job) lists(p netip.Prefix, a flow.Addr6, port uint16) bool {
	m := &j.match
	if t := j.h.cfg.Table(); t != m.table || a != m.addr || port != m.port {
		m.table, m.addr, m.port, m.in = t, a, port, m.in[:0]
		for _, i := range t.Judge(a.Addr().Unmap(), port).Indicators() {
			m.in = append(m.in, i.Prefix)
		}
	}
	return slices.Contains(m.in, p)
}

// carried gives the IPv4 address in an IPv6 one, by the table in force; else the zero address.
func (j *job) carried(a flow.Addr6) flow.Addr6 {
	if v4 := j.h.cfg.Table().Embedding().Find(a); v4 != 0 {
		return flow.Addr6Of(flow.Addr4(v4))
	}
	return flow.Addr6{}
}

// covering yields the entries that list an address, and those that list the IPv4 address in it.
func covering(x *listed.Index, a, carried flow.Addr6) iter.Seq[*listed.Entry] {
	if carried == (flow.Addr6{}) {
		return x.Covering(a)
	}
	return func(yield func(*listed.Entry) bool) {
		for _, a := range [...]flow.Addr6{a, carried} {
			for e := range x.Covering(a) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// met reports whether a row has met a listing of its outside address, or of the IPv4 address in it.
func (j *job) met(r *row.Row, carried flow.Addr6, port uint16) bool {
	for e := range covering(j.known, r.Outside, carried) {
		if (e.Port == 0 || e.Port == port) && e.Met(r.First, r.Last) {
			return true
		}
	}
	return false
}

// take adds a row to its contact, or counts it.
func (j *job) take(e *listed.Entry, r *row.Row) {
	p := e.Prefix()
	if isBroad(p) {
		j.count(p, r)
		return
	}
	k := key{p, contact.OfRow(r)}
	c := j.found[k]
	if c == nil && !j.capped && len(j.found) == j.left {
		j.capped = true
		for k, c := range j.found {
			j.count(k.prefix, &c.Row)
		}
		clear(j.found)
	}
	if j.capped {
		j.count(p, r)
		return
	}
	if c == nil {
		c = &contact.Sum{Since: e.Since}
		j.found[k] = c
	}
	c.Since = min(c.Since, e.Since) // with and without a port, the earlier listing
	c.Add(r, j.newest)
}

// isBroad reports whether a prefix has so many addresses that contacts are only counted.
func isBroad(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 16
	}
	return p.Bits() < 32
}

// maxCounts bounds the prefixes that are counted one by one.
const maxCounts = 65_536

func (j *job) count(p netip.Prefix, r *row.Row) {
	c := j.counts[p]
	if c == nil {
		if len(j.counts) == maxCounts {
			p = netip.Prefix{}
		}
		if c = j.counts[p]; c == nil {
			c = &count{first: r.First, last: r.Last}
			j.counts[p] = c
		}
	}
	c.rows++
	c.first, c.last = min(c.first, r.First), max(c.last, r.Last)
}

// batch is how many events go to the journal at once, and have their ids noted.
const batch = 256

// send sends the contacts that were found, in the order of their time.
func (j *job) send() error {
	h := j.h
	for p, c := range j.counts {
		h.count(capped, c.rows)
		j.sum.count(p, c)
	}
	keys := slices.SortedFunc(maps.Keys(j.found), func(a, b key) int {
		return cmp.Or(cmp.Compare(j.found[a].Row.Last, j.found[b].Row.Last), a.Outside.Addr().Compare(b.Outside.Addr()),
			a.Inside.Addr().Compare(b.Inside.Addr()), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port),
			strings.Compare(a.Site, b.Site), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	j.left -= len(keys)
	for part := range slices.Chunk(keys, batch) {
		var events []event.Event
		var ids []uuid.UUID
		for _, k := range part {
			id := contact.EventID(k.prefix, &k.ID)
			if j.ids.Has(id) {
				h.count(repeated, 1)
				continue
			}
			c := j.found[k]
			m := h.cfg.Table().Judge(k.Outside.Addr().Unmap(), contact.ServicePort(&c.Row))
			if !slices.ContainsFunc(m.Indicators(), func(i intel.Indicator) bool { return i.Prefix == k.prefix }) {
				continue // it has been removed from the list meanwhile
			}
			events, ids = append(events, c.Event(id, k.prefix, m, &h.cfg.Factors, h.cfg.Sensor)), append(ids, id)
			j.sum.sent(&events[len(events)-1], k.prefix)
		}
		if len(events) == 0 {
			continue
		}
		if err := h.cfg.Publish(events); err != nil {
			return fmt.Errorf("send what was found: %w", err)
		}
		h.count(sentOne, uint64(len(events)))
		if err := j.ids.Note(ids, h.cfg.Now()); err != nil {
			return fmt.Errorf("note what was sent: %w", err)
		}
	}
	return nil
}
