package fetch

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/runner"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Name is a domain or host name that a feed lists.
type Name struct {
	Name  string // see hostname.Parse
	OfURL bool   // the feed lists a URL, of which this is the host
	// The evidence has the name of the feed, and neither prefix nor port. Its expiry is when
	// the name ceases to count.
	intel.Indicator
}

// Unlisted counts the names of the copies in use that do not count, and has the feeds that
// could not be read.
type Unlisted struct {
	Expired, Offline, LowScore int
	// Bad are malformed names, Dropped those beyond the bounds of a copy.
	Bad, Dropped int
	Unread       []string
}

// EachName passes the names of the copies in use to use, straight from the disk: they are not kept
// in memory. The manager must be loaded. An error is that of use.
func (m *Manager) EachName(use func(*Name) error) (un Unlisted, err error) {
	now := m.now()
	for _, r := range m.feeds {
		if v := r.View(); v.Good != nil {
			un.Bad += v.Good.Parsed.BadNames
			un.Dropped += v.Good.DroppedNames()
		}
		var used error
		err := r.EachName(func(e *document.Entry, dated time.Time) error {
			if n := un.judge(r, e, dated, now); n != nil {
				used = use(n)
			}
			return used
		})
		if used != nil {
			return un, used
		}
		if err != nil {
			un.Unread = append(un.Unread, r.Spec.Name)
		}
	}
	return un, nil
}

// judge gives the name of an entry; nil = it does not count.
func (un *Unlisted) judge(r *runner.Runner, e *document.Entry, dated, now time.Time) *Name {
	end := endOf(&r.Spec, e, dated)
	switch notCounted(&r.Spec, e, end, now) {
	case lookup.ReasonExpired:
		un.Expired++
	case lookup.ReasonOffline:
		un.Offline++
	case lookup.ReasonLowScore:
		un.LowScore++
	default:
		n := &Name{e.Name, e.OfURL, complete(&r.Spec, e.Indicator)}
		n.Expires = end
		return n
	}
	return nil
}
