package feeds

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// Caps of the foreign text that an entry carries.
const (
	maxDescription = 512
	maxRef         = 1024
	maxNativeID    = 256
)

// tidy cuts the evidence to size and makes it valid UTF-8; times become UTC with
// the resolution of a second.
func (e *Entry) tidy() {
	e.Description = bounded(e.Description, maxDescription)
	e.NativeID = bounded(e.NativeID, maxNativeID)
	if e.Ref = valid(e.Ref); len(e.Ref) > maxRef {
		e.Ref = "" // half a link is none
	}
	e.FirstSeen = toSecond(e.FirstSeen)
	e.LastSeen = toSecond(e.LastSeen)
	e.Expires = toSecond(e.Expires)
}

// bounded gives foreign text in at most n bytes. Text that is cut is copied, so
// that the rest of it can go.
func bounded(s string, n int) string {
	if s = valid(trim(s)); len(s) > n {
		return strings.Clone(fit.Cut(s, n))
	}
	return s
}

// objectID gives the id of an object as its entries have it.
func objectID(id text) string { return bounded(string(id), maxNativeID) }

// unshare copies the strings that come from the row, lest a short word keeps all
// of a long row in memory.
func (e *Entry) unshare() {
	e.Description = strings.Clone(e.Description)
	e.NativeID = strings.Clone(e.NativeID)
	e.Ref = strings.Clone(e.Ref)
}

// valid copies foreign text only if it is not UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func toSecond(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// parseTime reads the spellings of a time that feeds use, in UTC when no zone is
// given: RFC 3339 with or without zone and fraction, with blank instead of T,
// with " UTC" behind it, a bare date, seconds since 1970, and the two of mail
// headers and ctime. The zero time means that it is none of them.
func parseTime(s string) time.Time {
	s = strings.TrimSuffix(trim(s), " UTC")
	if len(s) < 8 || len(s) > maxToken {
		return time.Time{}
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return unixTime(seconds)
	}
	for _, layout := range timeLayouts() {
		if t, err := time.Parse(layout, s); err == nil {
			return inRange(t)
		}
	}
	return time.Time{}
}

func timeLayouts() [10]string {
	return [...]string{
		time.RFC3339,
		"2006-01-02T15:04:05",
		"2006-01-02 15:04:05",
		"2006-01-02",
		"2006-01-02 15:04:05Z07:00",
		time.RFC1123,
		time.RFC1123Z,
		"Mon, 02 Jan 2006 15:04:05",
		"Mon Jan _2 15:04:05 2006",
		"Mon Jan _2 15:04:05 MST 2006",
	}
}

func unixTime(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return inRange(time.Unix(seconds, 0).UTC())
}

// inRange drops times that cannot be written with four digits for the year.
func inRange(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1970 || y > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// pathEscape makes a foreign id safe as one segment of a URL's path.
func pathEscape[T ~string](id T) string {
	return url.PathEscape(fit.Cut(string(id), maxNativeID))
}

// webURL gives a foreign link back if it is one for a browser.
func webURL(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	return ""
}
