package score

import (
	"strconv"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A reason is one short line. Feed names and categories are foreign text, so each is
// cut; the sum of all parts stays below 200 bytes.
const (
	maxReasonFeeds = 3
	maxFeedName    = 32
	maxCategory    = 24
)

// Reason explains to people why there is an event and how bad it is, such as
// "c2 listed by feodo (90), otx (75); outbound, answered".
func Reason(ev *event.Event) string {
	b := appendListing(make([]byte, 0, 96), ev.Indicators)
	b = append(b, "; "...)
	b = append(b, ev.Direction...)
	switch {
	case ev.Blocked:
		b = append(b, ", blocked"...)
	case ev.Answered == event.AnsweredYes:
		b = append(b, ", answered"...)
	case ev.Refused:
		b = append(b, ", refused"...)
	case ev.Answered == event.AnsweredNo:
		b = append(b, ", not answered"...)
	}
	if ev.Folded {
		b = appendCount(append(b, ", "...), ev.Ports, ev.PortsCapped, " port")
		b = appendCount(append(b, " of "...), ev.Hosts, ev.HostsCapped, " host")
	}
	return string(b)
}

func appendCount(b []byte, n uint32, more bool, of string) []byte {
	if more {
		b = append(b, "more than "...)
	}
	b = append(strconv.AppendUint(b, uint64(n), 10), of...)
	if n != 1 || more {
		b = append(b, 's')
	}
	return b
}

// appendListing appends the category of the best listing and the feeds, each once.
func appendListing(b []byte, listings []event.Indicator) []byte {
	if len(listings) == 0 {
		return append(b, "listed"...)
	}
	if category := listings[0].Category; category != "" {
		b = append(append(b, fit.Cut(category, maxCategory)...), ' ')
	}
	b = append(b, "listed by "...)
	feeds := 0
	for i := range listings {
		if !firstOfFeed(listings, i) {
			continue
		}
		if feeds++; feeds <= maxReasonFeeds {
			b = appendFeed(b, &listings[i], feeds > 1)
		}
	}
	if more := feeds - maxReasonFeeds; more > 0 {
		b = strconv.AppendInt(append(b, " and "...), int64(more), 10)
		b = append(b, " more"...)
	}
	return b
}

func appendFeed(b []byte, ind *event.Indicator, comma bool) []byte {
	if comma {
		b = append(b, ", "...)
	}
	b = append(b, fit.Cut(ind.Feed, maxFeedName)...)
	b = strconv.AppendUint(append(b, " ("...), uint64(ind.Score), 10)
	return append(b, ')')
}
