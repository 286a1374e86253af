// Package row has the rows of block lists: a prefix with the reason why it is blocked, as
// far as the target of the list [Can] express it. The names of feeds and categories in a row
// are foreign text: [Plain] and [Row.Reason] make them harmless in every target.
//
// Called by sinks/export, which makes rows, and by the targets, which write them.
package row

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Can is what a row of a target can express; the rest is not kept.
type Can struct {
	Ports    bool // of the listed end; listings with a port are left out elsewhere
	Timeouts bool // prefixes that end at different times stay apart
	Reasons  bool // category, feeds and TLP
	Dates    bool
}

// A Row is a prefix to block. Rows of one port do not overlap.
type Row struct {
	Prefix netip.Prefix
	Port   uint16 // of the listed end; 0 = all
	// The rest is of the listings that have made the row, as far as the target shows it.
	Score    uint8 // the best
	Category string
	Feeds    []string // by name
	TLP      string   // the most restricted
	// Expires is when the last listing does, FirstSeen and LastSeen are the earliest and
	// the latest time; zero = never, or unknown.
	Expires, FirstSeen, LastSeen time.Time
	// Sighting is of offenders that were seen here.
	Sighting Sighting
}

// A Sighting is how often an offender was in contact with us, and from when to when: Unix
// seconds, 0 = unknown. Without a count there is none.
type Sighting struct {
	Count       uint64
	First, Last int64
}

// MaxReason is how long the reason of a row can be: nft takes comments of at most 127 bytes.
const MaxReason = 100

// Reason gives what has listed a row, for a comment of any target.
func (r *Row) Reason() string {
	category := r.Category
	if category == "" {
		category = "listed"
	}
	return Plain(fmt.Sprintf("%s, score %d: %s", Plain(category, MaxReason/3), r.Score, strings.Join(r.Feeds, ", ")), MaxReason)
}

// harmless are the signs that no target gives a meaning to, neither in a comment nor in a
// quoted text. Quotes, backslashes, dollars, braces, semicolons, hashes, asterisks and
// everything beyond ASCII are not among them.
const harmless = " .,:_+-=/@()"

// Plain makes foreign text safe for every target: of one line, of ASCII, and at most so
// many bytes.
func Plain(s string, most int) string {
	out := make([]byte, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(harmless, r):
			out = append(out, byte(r))
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}

// Address gives the prefix as text, or the address alone where it is a single one.
func (r *Row) Address() string {
	if r.Prefix.IsSingleIP() {
		return r.Prefix.Addr().String()
	}
	return r.Prefix.String()
}
