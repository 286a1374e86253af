package retro

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A summary is what was found for the new entries of a set.
type summary struct {
	entries  int
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
			plural(s.contacts, "contact"), plural(len(s.hosts), "host"), plural(len(s.prefixes), "prefix"), plural(s.entries, "new entry")))
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
