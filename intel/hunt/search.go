package hunt

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
)

const (
	// sorted is how many rows of one file are held to sort them by time. Of a file with
	// more, so many rows at a time are in order.
	sorted = 32_768
	// maxCounted bounds the hosts that a summary counts.
	maxCounted = 10_000
	// maxNamed bounds the damaged files that a summary names, maxReason the bytes of why.
	maxNamed, maxReason = 100, 300
)

// A Summary is what was searched and found.
type Summary struct {
	Rows uint64 `json:"rows"`
	// Limited is set when the search ended at the limit of the question: there may be more.
	Limited bool `json:"limited,omitempty"`
	// Hosts are those of ours in the rows; HostsMore that there are more than are counted.
	Hosts     int       `json:"hosts"`
	HostsMore bool      `json:"hosts_more,omitempty"`
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Flows     uint64    `json:"flows"`
	BytesOut  uint64    `json:"bytes_out"`
	BytesIn   uint64    `json:"bytes_in"`
	// Folded are contacts that rows of the answer stand for.
	Folded uint64 `json:"folded,omitempty"`
	// Beside are rows that are not in the answer, though they may include what was asked
	// for: folded rows have neither a host nor, with many ports, a port. BesideContacts is how many
	// contacts they stand for.
	Beside         uint64 `json:"beside,omitempty"`
	BesideContacts uint64 `json:"beside_contacts,omitempty"`

	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"` // of the files
	// Bad are files that could not be read, or not as a whole; BadMore is how many more
	// there are than are named.
	Bad     []Bad `json:"bad,omitempty"`
	BadMore int   `json:"bad_more,omitempty"`
	// LostFlows are flows that the history lost in the time that was searched, as its tables
	// were full: contacts may be missing. FoldedFlows are those in rows without a host.
	LostFlows   uint64 `json:"lost_flows,omitempty"`
	FoldedFlows uint64 `json:"folded_flows,omitempty"`
	// Began is the beginning of the history, zero = there is none. The answer is complete
	// up to Until.
	Began time.Time `json:"began,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Again is from when on a hunt will have what was in memory this time; zero = nothing was.
	Again time.Time `json:"again,omitzero"`
	// Ours are ranges of the question within the home networks.
	Ours int `json:"ours,omitempty"`
	// Note is what else is to be known, such as that the history is off.
	Note string `json:"note,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
}

// A Bad is a damaged file.
type Bad struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

// Conclusive reports whether nothing found means that there was nothing.
func (s *Summary) Conclusive(q *question.Question) bool {
	return len(s.Bad) == 0 && s.Beside == 0 && s.LostFlows == 0 && !s.Began.IsZero() && (q.Until.IsZero() || !q.Until.Before(s.Began)) && (q.Since.IsZero() || !q.Since.After(s.Until))
}

// errEnough ends a search at its limit.
var errEnough = errors.New("enough rows")

// Search looks for a question that Check has passed. Rows come newest first: those of the
// newest file first, within a file the ones that ended last first. With a limit they are
// exactly the newest of a file, without one a file with more than 32,768 rows is in order
// piece by piece. They belong to emit for the time of the call; an error of emit ends the search, and is that of
// Search. Others are those of ctx and of the folder. The summary is right for what was
// searched, also beside an error; Until is the end of the newest file, Ours and Note are the
// caller's.
func Search(ctx context.Context, f *folder.Folder, q *question.Question, emit func([]Row) error, progress func(done, total int, bytes int64)) (Summary, error) {
	began := time.Now()
	s := search{q: q, emit: emit, hosts: make(map[host]struct{})}
	s.hold = sorted
	if q.Limit > 0 {
		s.hold = 2 * min(sorted/2, q.Limit)
	}
	days, err := f.Days()
	if s.span(days); s.sum.Began.IsZero() { // a listing that is not complete still has something to search
		return s.sum, err
	}
	done, err := f.Search(ctx, folder.Query{Ranges: q.Searched(), From: q.Since, To: q.Until, Emit: s.take, Progress: progress})
	if err == nil {
		err = s.flush()
	}
	if errors.Is(err, errEnough) {
		s.sum.Limited, err = true, nil
	}
	s.sum.Files, s.sum.Bytes = done.Files, done.Bytes
	s.sum.LostFlows, s.sum.FoldedFlows = done.Lost, done.Folded
	for _, b := range done.Bad {
		s.damaged(b.Path, b.Err.Error())
	}
	s.sum.Hosts = len(s.hosts)
	s.sum.Seconds = time.Since(began).Seconds()
	return s.sum, err
}

// span notes the time that files cover, which are not in order where a clock has jumped, and
// the files that have been set aside as damaged.
func (s *search) span(days []folder.Day) {
	for _, d := range days {
		for _, e := range d.Files {
			if s.sum.Began.IsZero() || e.Name.From.Before(s.sum.Began) {
				s.sum.Began = e.Name.From
			}
			if e.Name.To.After(s.sum.Until) {
				s.sum.Until = e.Name.To
			}
		}
		for _, e := range d.Bad {
			if (s.q.Until.IsZero() || !e.Name.From.After(s.q.Until)) && (s.q.Since.IsZero() || !e.Name.To.Before(s.q.Since)) {
				s.damaged(e.Path, "set aside as damaged")
			}
		}
	}
}

// damaged notes a damaged file.
func (s *search) damaged(path, why string) {
	if len(s.sum.Bad) == maxNamed {
		s.sum.BadMore++
		return
	}
	if len(why) > maxReason {
		why = strings.ToValidUTF8(why[:maxReason], "") + "…"
	}
	s.sum.Bad = append(s.sum.Bad, Bad{filepath.Base(path), why})
}

type search struct {
	q    *question.Question
	emit func([]Row) error
	hold int // rows of one file, before they are sorted

	file  string
	rows  []Row // of that file
	hosts map[host]struct{}
	sum   Summary
}

// A host is one of ours: two sites may use the same addresses.
type host struct {
	site string
	addr netip.Addr
}

// take takes rows of one file.
func (s *search) take(e folder.Entry, rows []row.Row) error {
	if e.Path != s.file {
		if err := s.flush(); err != nil {
			return err
		}
		s.file = e.Path
	}
	for i := range rows {
		r := &rows[i]
		if !s.meets(r) {
			continue
		}
		s.rows = append(s.rows, rowOf(r))
		if len(s.rows) < s.hold {
			continue
		}
		if left := s.left(); left > 0 && left <= s.hold/2 {
			s.sort()
			s.rows = s.rows[:left]
		} else if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

// left is how many rows are missing to the limit; 0 = there is none.
func (s *search) left() int {
	if s.q.Limit <= 0 {
		return 0
	}
	return s.q.Limit - int(s.sum.Rows)
}

// meets reports whether a row is an answer. One that may include the answer is counted.
func (s *search) meets(r *row.Row) bool {
	if !s.q.Means(r.Outside) {
		return false
	}
	folded := isFolded(r)
	host := len(s.q.Hosts) == 0 || !folded && slices.ContainsFunc(s.q.Hosts, func(p netip.Prefix) bool { return p.Contains(r.Inside.Addr().Unmap()) })
	port := len(s.q.Ports) == 0 || slices.Contains(s.q.Ports, r.Port)
	if host && port {
		return true
	}
	if folded && (port || r.Port == 0) {
		s.sum.Beside++
		s.sum.BesideContacts += uint64(r.Folded)
	}
	return false
}

func (s *search) sort() {
	slices.SortStableFunc(s.rows, func(a, b Row) int { return cmp.Or(b.Last.Compare(a.Last), b.First.Compare(a.First)) })
}

// flush hands the rows over that are held.
func (s *search) flush() error {
	if len(s.rows) == 0 {
		return nil
	}
	s.sort()
	rows := s.rows
	s.rows = s.rows[:0]
	left := s.left()
	if left > 0 && len(rows) > left {
		rows = rows[:left]
	}
	for i := range rows {
		s.count(&rows[i])
	}
	if err := s.emit(rows); err != nil {
		return err
	}
	if s.q.Limit > 0 && s.left() == 0 {
		return errEnough
	}
	return nil
}

func (s *search) count(r *Row) {
	s.sum.Rows++
	s.sum.Flows += uint64(r.Flows)
	s.sum.BytesOut, s.sum.BytesIn = s.sum.BytesOut+r.BytesOut, s.sum.BytesIn+r.BytesIn
	s.sum.Folded += uint64(r.Folded)
	if s.sum.First.IsZero() || r.First.Before(s.sum.First) {
		s.sum.First = r.First
	}
	if r.Last.After(s.sum.Last) {
		s.sum.Last = r.Last
	}
	h := host{r.Site, r.Inside}
	switch _, known := s.hosts[h]; {
	case known || !r.Inside.IsValid():
	case len(s.hosts) < maxCounted:
		s.hosts[h] = struct{}{}
	default:
		s.sum.HostsMore = true
	}
}
