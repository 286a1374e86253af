package lookup

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Reason is why an entry of a feed is not listed, or an address not a hit.
type Reason string

// The reasons.
const (
	ReasonInvalid        Reason = "invalid"         // not a prefix at all
	ReasonDefaultRoute   Reason = "default-route"   // 0.0.0.0/0 or ::/0, refused to everybody
	ReasonTooWide        Reason = "too-wide"        // shorter than /8 (IPv4) or /19 (IPv6)
	ReasonAllow          Reason = "allow"           // the operator allows it
	ReasonHome           Reason = "home"            // overlaps a home network
	ReasonSpecialPurpose Reason = "special-purpose" // overlaps special-purpose space
	ReasonExcluded       Reason = "excluded"        // the feed itself excludes it
	ReasonOverCap        Reason = "over-cap"        // the table is full
	ReasonExpired        Reason = "expired"         // its time is over
	ReasonOffline        Reason = "offline"         // the feed states that it is harmless now
	ReasonLowScore       Reason = "low-score"       // below min_score of the feed
	// Beside these there is one for each Class: a warninglist has the address.
)

// A Suppression is a listing that was stopped, and what stopped it. When only the
// guard is known and no listing (see [Table.Explain]), the Indicator has the prefix
// that was asked for and an empty Feed.
type Suppression struct {
	intel.Indicator
	Reason Reason
	// By is the prefix that decided: of the allowlist, the home networks, the
	// special-purpose registry or the exclusion. Invalid when there is none.
	By netip.Prefix
	// Name is what By is for, when it is special-purpose space, or which list it is
	// of, when it is a warninglist's.
	Name string
}

// A FeedReport is what became of one feed's entries.
type FeedReport struct {
	Feed string
	// Accepted entries are in the table. Duplicate ones said again what another
	// entry of the feed has: same prefix, same port.
	Accepted, Duplicate int
	// Unique counts the accepted entries whose prefix no other feed lists.
	Unique int
	// Exclusions are the prefixes that the feed itself takes out.
	Exclusions int
	// Refused counts the other entries and the exclusions that were not taken;
	// Samples shows some, at most 5 a reason.
	Refused map[Reason]int
	Samples []Suppression
}

// A Report is what became of all that a Builder was given. Of each feed, Accepted,
// Duplicate, Exclusions and Refused add up to the number of calls of Add, Exclude and
// Refuse.
type Report struct {
	Feeds []FeedReport // by name
	// OwnListed are entries that overlap a home network: an address of our own on
	// a list is news. At most 1,000; Refused counts them all.
	OwnListed []Suppression
	// Warned counts for each warninglist how many entries of feeds it touches.
	Warned []WarnedReport
	// Forgotten counts the refused entries that [Table.Explain] cannot name,
	// because a table remembers only so many.
	Forgotten int
}

// A WarnedReport is how many entries of feeds, duplicates included, overlap a warninglist.
type WarnedReport struct {
	List    string
	Class   intel.Class
	Entries int
}

// maxSamples bounds the samples for each feed and reason, maxOwnListed the news.
const (
	maxSamples   = 5
	maxOwnListed = 1_000
)

// refuse counts and keeps what a guard has stopped.
func (r *FeedReport) refuse(s Suppression) {
	if r.Refused == nil {
		r.Refused = make(map[Reason]int)
	}
	if r.Refused[s.Reason] < maxSamples {
		r.Samples = append(r.Samples, s)
	}
	r.Refused[s.Reason]++
}
