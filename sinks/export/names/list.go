package names

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// A Listing is a name as one feed lists it.
type Listing struct {
	Name                string // see hostname.Parse
	OfURL               bool   // the feed lists a URL, of which this is the host
	Feed, Category, TLP string
	Score               uint8
	Expires             time.Time // zero = never
}

// A Row is a name to block, with all names below it.
type Row struct {
	Name     string
	Score    uint8 // the best
	Category string
	Feeds    []string // by name
	// Except are names below it that are allowed, with all below them.
	Except []string
}

// Reason gives what has listed a row, for a comment or an answer of any target.
func (r *Row) Reason() string {
	s := row.Row{Score: r.Score, Category: r.Category, Feeds: r.Feeds}
	return s.Reason()
}

// A Report is what has become of the listings.
type Report struct {
	Listings int `json:"listings"` // that were read
	Filtered int `json:"filtered"` // that the filter keeps out
	Expired  int `json:"expired"`  // or no longer answering, or below the least score of their feed
	TLP      int `json:"tlp"`      // that are not to be shared
	URLs     int `json:"urls"`     // hosts of URLs, which are not asked for
	Allowed  int `json:"allowed"`
	// Refused counts names that belong to no single owner, such as co.uk, to local networks, or
	// that everybody needs, and those that are longer than a target takes or no names at all.
	Refused int `json:"refused"`
	Below   int `json:"below"` // names below another one in the list
	Rows    int `json:"rows"`
	// Cut are names beyond the maximum. Where so many are read that some are dropped on the way,
	// one that comes again later counts again.
	Cut    int `json:"cut"`
	Lowest int `json:"lowest"` // the least score in a list that was cut
}

// A List is what a target writes. Its rows are in the order of their labels from the right.
type List struct {
	row.Head
	Report Report
	Rows   []Row
}

// Limits of a list while it is made.
const (
	// most is how many names are held; of more, those that come first stay.
	most = 4_000_000
	// maxReasons is how many different reasons are held; more share the last one.
	maxReasons = 1 << 16
	// leastHeld is how many listings are held before those that will be cut are dropped, and
	// heldPerRow how many for each row of the list.
	leastHeld  = 1 << 16
	heldPerRow = 4
)

// A listed is a name that was taken in: where its key stands in the text of all, and why. It has
// no pointer.
type listed struct {
	at     uint32
	length uint8
	reason uint32
}

// A reason is why a name is blocked.
type reason struct {
	score          uint8
	category, feed string
}

// A Maker makes a list.
type Maker struct {
	options choice.Options
	allow   []string        // in order
	allowed map[string]bool // likewise
	longest int
	now     time.Time
	report  Report
	text    []byte
	names   []listed
	reasons []reason
	index   map[reason]uint32
	// held is how many listings there may be before some are dropped; least the score below which
	// some were.
	held  int
	least uint8
}

// New begins a list. Names that are allowed, and those below them, are not in it, and a
// name is longer than longest never.
func New(o choice.Options, allow []string, longest int, now time.Time) (*Maker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Family != 0 {
		return nil, errors.New("family: names have none")
	}
	m := &Maker{options: o, longest: min(longest, hostname.MaxName), now: now.UTC().Truncate(time.Second), index: make(map[reason]uint32), allowed: make(map[string]bool), held: max(leastHeld, heldPerRow*o.Max)}
	for _, a := range allow {
		name, err := hostname.ParseTop(a)
		if err != nil {
			return nil, fmt.Errorf("allow_names: %q: %w", a, err)
		}
		m.allow = append(m.allow, name)
	}
	slices.Sort(m.allow)
	m.allow = slices.Compact(m.allow)
	for _, a := range m.allow {
		m.allowed[a] = true
	}
	return m, nil
}

// Add takes a listing in; it is not kept.
func (m *Maker) Add(l *Listing) {
	m.report.Listings++
	if why := m.refused(l); why != nil {
		*why++
		return
	}
	r := reason{l.Score, l.Category, l.Feed}
	i, ok := m.index[r]
	switch {
	case ok:
	case len(m.reasons) == maxReasons:
		i = maxReasons - 1
	default:
		i = uint32(len(m.reasons))
		r.category, r.feed = strings.Clone(r.category), strings.Clone(r.feed)
		m.reasons, m.index[r] = append(m.reasons, r), i
	}
	m.names = append(m.names, listed{uint32(len(m.text)), uint8(len(l.Name)), i})
	m.text = appendKey(m.text, l.Name)
	if len(m.names) >= m.held {
		m.drop()
	}
}

// drop forgets what will not be in the list, so that the memory of a list depends on its size
// and not on how much is read. What is read later can only make it more.
func (m *Maker) drop() {
	least, room := m.sort()
	var text []byte
	names := m.names[:0]
	for of := range m.byName() {
		if !m.stays(of, least, &room) {
			m.report.Cut++
			m.least = max(m.least, least)
			continue
		}
		at := uint32(len(text))
		text = append(text, m.key(of[0])...)
		for _, n := range of {
			names = append(names, listed{at, n.length, n.reason})
		}
	}
	m.names, m.text = names, slices.Clip(text)
	m.held = max(m.held, 2*len(names))
}

// sort brings the names in order, and gives the least score in the list and how many names of
// that score there is room for.
func (m *Maker) sort() (least uint8, room int) {
	slices.SortFunc(m.names, func(a, b listed) int {
		return cmp.Or(bytes.Compare(m.key(a), m.key(b)), cmp.Compare(a.reason, b.reason))
	})
	distinct := 0
	var scores [256]int // of names
	for of := range m.byName() {
		distinct++
		scores[m.best(of)]++
	}
	return m.leastOf(distinct, &scores)
}

// byName yields the listings of each name; they are in order.
func (m *Maker) byName() iter.Seq[[]listed] {
	return func(yield func([]listed) bool) {
		for first, end := 0, 0; first < len(m.names); first = end {
			for end = first + 1; end < len(m.names) && bytes.Equal(m.key(m.names[end]), m.key(m.names[first])); end++ {
			}
			if !yield(m.names[first:end]) {
				return
			}
		}
	}
}

// stays reports whether a name is in the list.
func (m *Maker) stays(of []listed, least uint8, room *int) bool {
	score := m.best(of)
	if score < least || score == least && *room == 0 {
		return false
	}
	if score == least {
		*room--
	}
	return true
}

// refused gives the counter of what keeps a listing out, or nil.
func (m *Maker) refused(l *Listing) *int {
	o := &m.options
	switch {
	case !o.Takes(l.Score, l.Feed, l.Category):
		return &m.report.Filtered
	case l.OfURL && !o.URLs:
		return &m.report.URLs
	case !l.Expires.IsZero() && !l.Expires.After(m.now):
		return &m.report.Expired
	case intel.TLPRank(l.TLP) > intel.TLPRank(o.MaxTLP):
		return &m.report.TLP
	case m.isAllowed(l.Name):
		return &m.report.Allowed
	case !m.takes(l.Name):
		return &m.report.Refused
	case len(m.names) == most:
		return &m.report.Cut
	}
	return nil
}

// isAllowed reports whether a name, or one above it, is allowed.
func (m *Maker) isAllowed(name string) bool {
	for above := range upwards(name) {
		if m.allowed[above] {
			return true
		}
	}
	return false
}

// takes reports whether a name can be in a list: whoever made it, it is checked again.
func (m *Maker) takes(name string) bool {
	parsed, err := hostname.Parse(name)
	return err == nil && parsed == name && len(name) <= m.longest && !hostname.IsShared(name) && !hostname.IsLocal(name) && !hostname.IsCritical(name)
}

// Done gives the list.
func (m *Maker) Done() *List {
	least, room := m.sort()
	made := m.now
	if m.options.NoTime {
		made = time.Time{}
	}
	l := &List{Head: row.NewHead(m.options.Name, "all that is listed, "+m.options.String(), made)}
	for of := range m.byName() {
		if !m.stays(of, least, &room) {
			m.report.Cut++
			continue
		}
		m.take(l, of)
	}
	m.except(l)
	if m.report.Cut > 0 {
		m.report.Lowest = int(max(least, m.least))
	}
	m.report.Rows = len(l.Rows)
	l.Report = m.report
	m.names, m.text, m.index = nil, nil, nil
	return l
}

// except notes the allowed names below rows. A row with one that the target cannot express
// is left out.
func (m *Maker) except(l *List) {
	rows := make(map[string]int, len(l.Rows))
	if len(m.allow) > 0 {
		for i := range l.Rows {
			rows[l.Rows[i].Name] = i
		}
	}
	tooLong := make(map[string]bool)
	for _, a := range m.allow {
		for above := range upwards(a) {
			if i, ok := rows[above]; ok {
				l.Rows[i].Except = append(l.Rows[i].Except, a)
				tooLong[above] = tooLong[above] || len(a) > m.longest
			}
		}
	}
	l.Rows = slices.DeleteFunc(l.Rows, func(r Row) bool { return tooLong[r.Name] })
	for _, is := range tooLong {
		if is {
			m.report.Allowed++
		}
	}
}

// upwards yields a name and all above it.
func upwards(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(name) {
			_, above, ok := strings.Cut(name, ".")
			if !ok {
				return
			}
			name = above
		}
	}
}

// leastOf gives the least score in the list, and how many names of that score there is room for.
func (m *Maker) leastOf(distinct int, scores *[256]int) (least uint8, room int) {
	if distinct <= m.options.Max {
		return 0, distinct
	}
	room = m.options.Max
	for score := 255; score > 0; score-- {
		if scores[score] >= room {
			return uint8(score), room
		}
		room -= scores[score]
	}
	return 0, room
}

// take makes a row of all listings of a name, unless a name above it is in the list.
func (m *Maker) take(l *List, of []listed) {
	name := nameOf(m.key(of[0]))
	if n := len(l.Rows); n > 0 && hostname.Below(name, l.Rows[n-1].Name) {
		m.report.Below++ // the last row that is not below another
		return
	}
	r := Row{Name: name}
	for _, one := range of {
		why := m.reasons[one.reason]
		if len(r.Feeds) == 0 || why.score > r.Score || why.score == r.Score && why.category < r.Category {
			r.Score, r.Category = why.score, why.category
		}
		r.Feeds = append(r.Feeds, why.feed)
	}
	slices.Sort(r.Feeds)
	r.Feeds = slices.Compact(r.Feeds)
	l.Rows = append(l.Rows, r)
}

// best gives the best score of the listings of a name.
func (m *Maker) best(of []listed) (score uint8) {
	for _, n := range of {
		score = max(score, m.reasons[n.reason].score)
	}
	return score
}

// key gives the key of a name; it is good until the next name comes.
func (m *Maker) key(n listed) []byte { return m.text[n.at : int(n.at)+int(n.length)] }

// appendKey appends a name with its labels from the right, each but the last with a NUL behind
// it, so that in the order of bytes all below a name follow it. It is as long as the name.
func appendKey(text []byte, name string) []byte {
	for {
		i := strings.LastIndexByte(name, '.')
		if text = append(text, name[i+1:]...); i < 0 {
			return text
		}
		text, name = append(text, 0), name[:i]
	}
}

// nameOf gives the name of a key.
func nameOf(key []byte) string {
	labels := strings.Split(string(key), "\x00")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// Timeless gives the same list without its time. The rows are shared.
func (l *List) Timeless() *List {
	same := *l
	same.HideTime()
	return &same
}

// Header gives the lines that a list begins with, safe in a comment of every target.
func (l *List) Header(target string) []string {
	names := "names"
	if l.Report.Rows == 1 {
		names = "name"
	}
	return l.Lines(fmt.Sprintf("flowsnitch export %s: %d %s", target, l.Report.Rows, names), l.Report.Cut)
}
