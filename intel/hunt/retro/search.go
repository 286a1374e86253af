package retro

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/sent"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// AlertFound is the name of the alert that sums up what was found for the new entries of a set.
const AlertFound = "contact_before_listing"

// search searches the history for what is wanted, and sends what it finds.
func (h *Hunter) search(ctx context.Context, known, wanted []listed.Entry) (err error) {
	newest := uint32(0)
	for i := range wanted {
		newest = max(newest, wanted[i].Since)
	}
	if err := h.flushed(ctx, newest); err != nil {
		return err
	}
	now := h.cfg.Now()
	ids, err := sent.Open(h.cfg.Disk, h.folder.path(sentFile), maxSent, h.cfg.History.Keep(), now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ids.Close()) }()
	h.note(func(s *Stats) {
		s.Damaged += uint64(ids.Damaged)
		s.Forgotten += uint64(ids.Forgotten)
		s.SentIDs = uint64(ids.Len())
	})
	j := job{h: h, known: listed.NewIndex(known), newest: newest, ids: ids, left: maxContacts, sum: summary{wanted: len(wanted)}}
	own := slices.Clone(wanted)
	own = slices.DeleteFunc(own, func(e listed.Entry) bool { return !e.Operator })
	wanted = slices.DeleteFunc(wanted, func(e listed.Entry) bool { return e.Operator })
	for _, list := range [][]listed.Entry{own, wanted} {
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
	wanted *listed.Index
	found  map[key]*contact
	counts map[netip.Prefix]*count
	capped bool
	match  struct { // of the row before
		table *lookup.Table
		addr  flow.Addr6
		port  uint16
		in    []netip.Prefix // what lists it
	}
}

// A key is a contact with what one prefix lists.
type key struct {
	prefix netip.Prefix
	contactID
}

// A count is how much of a prefix is only counted.
type count struct {
	rows        uint64 // contacts, as each file has them
	first, last uint32
}

// pass searches for a part of what is wanted.
func (j *job) pass(ctx context.Context, part []listed.Entry) error {
	j.wanted = listed.NewIndex(part)
	j.found, j.counts, j.capped = make(map[key]*contact), make(map[netip.Prefix]*count), false
	began := time.Now()
	prefixes := make([]netip.Prefix, len(part))
	for i := range part {
		prefixes[i] = part[i].Prefix()
	}
	ranges := file.Ranges(prefixes)
	prefixes = nil
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
	if second(received.From) > j.newest {
		return nil // all of it met the new set
	}
	to := second(received.To)
	for i := range rows {
		j.row(&rows[i], to)
	}
	return nil
}

// row takes in a row of a file that was received until a second.
func (j *job) row(r *row.Row, to uint32) {
	port := servicePort(r)
	for e := range j.wanted.Covering(r.Outside) {
		if r.First >= e.Since || e.Port != 0 && e.Port != port || !j.lists(e.Prefix(), r.Outside, port) {
			continue
		}
		if j.met(r, port) || to >= e.Since && j.h.hasLive(contactOfRow(r)) {
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

// met reports whether a row has met a listing of its outside address.
func (j *job) met(r *row.Row, port uint16) bool {
	for e := range j.known.Covering(r.Outside) {
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
	k := key{p, contactOfRow(r)}
	c := j.found[k]
	if c == nil && !j.capped && len(j.found) == j.left {
		j.capped = true
		for k, c := range j.found {
			j.count(k.prefix, &c.sum)
		}
		clear(j.found)
	}
	if j.capped {
		j.count(p, r)
		return
	}
	if c == nil {
		c = &contact{since: e.Since}
		j.found[k] = c
	}
	c.since = min(c.since, e.Since) // with and without a port, the earlier listing
	c.add(r, j.newest)
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
		return cmp.Or(cmp.Compare(j.found[a].sum.Last, j.found[b].sum.Last), a.outside.Addr().Compare(b.outside.Addr()),
			a.inside.Addr().Compare(b.inside.Addr()), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.port, b.port),
			strings.Compare(a.site, b.site), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	j.left -= len(keys)
	for part := range slices.Chunk(keys, batch) {
		var events []event.Event
		var ids []uuid.UUID
		for _, k := range part {
			id := eventID(k.prefix, &k.contactID)
			if j.ids.Has(id) {
				h.count(repeated, 1)
				continue
			}
			c := j.found[k]
			m := h.cfg.Table().Judge(k.outside.Addr().Unmap(), servicePort(&c.sum))
			if !slices.ContainsFunc(m.Indicators(), func(i intel.Indicator) bool { return i.Prefix == k.prefix }) {
				continue // it has been removed from the list meanwhile
			}
			events, ids = append(events, h.event(id, c, k.prefix, m)), append(ids, id)
			j.sum.sent(&events[len(events)-1], k.prefix)
		}
		if len(events) == 0 {
			continue
		}
		h.cfg.Publish(events)
		h.count(sentOne, uint64(len(events)))
		if err := j.ids.Note(ids, h.cfg.Now()); err != nil {
			return fmt.Errorf("note what was sent: %w", err)
		}
	}
	return nil
}

// A summary is what was found for the new entries of a set.
type summary struct {
	wanted   int
	contacts int
	hosts    map[netip.Addr]bool
	feeds    []string
	prefixes map[netip.Prefix]bool
	counted  []countOf
	rows     uint64
	bad      []string
}

type countOf struct {
	prefix netip.Prefix
	count
}

// How much of a summary is named.
const (
	maxNamedFeeds    = 5
	maxNamedPrefixes = 5
)

func (s *summary) sent(e *event.Event, p netip.Prefix) {
	if s.hosts == nil {
		s.hosts, s.prefixes = make(map[netip.Addr]bool), make(map[netip.Prefix]bool)
	}
	s.contacts++
	if e.Local.IsValid() {
		s.hosts[e.Local] = true
	}
	s.prefixes[p] = true
	for i := range e.Indicators {
		if e.Indicators[i].Prefix == p {
			s.feed(e.Indicators[i].Feed)
		}
	}
}

func (s *summary) feed(name string) {
	if len(s.feeds) <= maxNamedFeeds && !slices.Contains(s.feeds, name) {
		s.feeds = append(s.feeds, name)
	}
}

func (s *summary) count(p netip.Prefix, c *count) {
	s.rows += c.rows
	s.counted = append(s.counted, countOf{p, *c})
}

// tell raises the alert, if something was found, and logs damaged files.
func (s *summary) tell(h *Hunter) {
	if len(s.bad) > 0 {
		h.cfg.Log.Warn("the search for contacts before a listing has met damaged files, whose contacts are missing", zap.Strings("files", s.bad))
	}
	var parts []string
	if s.contacts > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s with %s of %s were found in the history, from before the listing; they are hits with retro: true",
			plural(s.contacts, "contact"), plural(len(s.hosts), "host"), plural(len(s.prefixes), "prefix"), plural(s.wanted, "new entry")))
	}
	if len(s.counted) > 0 {
		parts = append(parts, s.tooMany(h))
	}
	if len(parts) == 0 {
		return
	}
	text := strings.Join(parts, "; ")
	if len(s.feeds) > 0 {
		text += "; listed by " + named(s.feeds, maxNamedFeeds)
	}
	h.cfg.Alert(AlertFound, text, nil)
}

// tooMany names what is only counted, the most first.
func (s *summary) tooMany(h *Hunter) string {
	slices.SortFunc(s.counted, func(a, b countOf) int {
		return cmp.Or(cmp.Compare(b.rows, a.rows), a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	var list []string
	for _, c := range s.counted[:min(len(s.counted), maxNamedPrefixes)] {
		if !c.prefix.IsValid() {
			continue
		}
		day := func(s uint32) string { return time.Unix(int64(s), 0).UTC().Format(time.DateOnly) }
		list = append(list, fmt.Sprintf("%s %d from %s to %s", c.prefix, c.rows, day(c.first), day(c.last)))
		for _, i := range h.cfg.Table().Listings(c.prefix) {
			if i.Prefix == c.prefix {
				s.feed(i.Feed)
			}
		}
	}
	text := fmt.Sprintf("%d records of contacts before the listing with %s are too many to be sent one by one: %s",
		s.rows, plural(len(s.counted), "prefix"), strings.Join(list, ", "))
	if more := len(s.counted) - len(list); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + "; 'flowsnitch hunt PREFIX' shows them"
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "x"):
		return fmt.Sprintf("%d %ses", n, what)
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func named(list []string, most int) string {
	if len(list) > most {
		return strings.Join(list[:most], ", ") + " and others"
	}
	return strings.Join(list, ", ")
}
