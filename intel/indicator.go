package intel

import (
	"net/netip"
	"strings"
	"time"
)

// An Indicator is one listed prefix as one feed lists it, with the evidence that
// the feed gives. Two feeds that list the same prefix are two indicators.
type Indicator struct {
	Prefix netip.Prefix // masked, unmapped
	// Port narrows the indicator to address and port of the listed end; 0 = any.
	Port uint16
	// Feed is the name of the feed.
	Feed string
	// Score is the confidence of the feed in the entry, 1 to 100; 0 = not given,
	// the feed's default applies.
	Score uint8
	// Category is what the address does: c2, scan, bruteforce, ... in lower case.
	Category string
	// Ref is a URL for people, Description the feed's own words: foreign text,
	// to be escaped wherever it goes.
	Ref         string
	Description string
	// NativeID is the feed's own id of the entry: SBL number, pulse id, event
	// uuid, indicator id.
	NativeID string
	// TLP is white, green, amber or red, or empty.
	TLP string
	// FirstSeen, LastSeen and Expires are UTC with the resolution of a second;
	// zero when the feed does not say.
	FirstSeen, LastSeen, Expires time.Time
}

// TLPs are the labels of the Traffic Light Protocol (2.0) that can be the most restricted ones to
// be shared, the least restricted first; see [TLPRank].
var TLPs = []string{"clear", "green", "amber", "amber+strict", "red"}

// TLPRank orders labels of the Traffic Light Protocol, in upper or lower case, by how much
// they restrict: 0 for none, 1 for clear or white, to 5 for red. An unknown label counts as
// red: sharing too little does no harm.
func TLPRank(label string) int {
	switch strings.ToLower(label) {
	case "":
		return 0
	case "clear", "white":
		return 1
	case "green":
		return 2
	case "amber":
		return 3
	case "amber+strict":
		return 4
	}
	return 5
}
