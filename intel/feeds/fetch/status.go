package fetch

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/runner"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Status is all that there is to know of one feed.
type Status struct {
	Name string `json:"name" label:"feed"`
	// Source is where it comes from, without secrets; Kind how it is read.
	Source string `json:"source"`
	Kind   string `json:"kind"`
	// Class is set for a warninglist.
	Class string `json:"class,omitempty"`
	// Taken is when the copy in use was completed, zero while no reading has come to its
	// end, Checked when the source last confirmed it, Updated the time of
	// the data by its own words.
	Taken   time.Time `json:"taken,omitzero" name:"-"`
	Checked time.Time `json:"checked,omitzero" name:"-"`
	Updated time.Time `json:"updated,omitzero" name:"feed_data_timestamp_seconds" help:"Time of the data in use as stated by the feed."`
	// AgeSeconds is the age of the copy in use by a date that can be trusted; nil = there
	// is no copy, or it has not been set.
	AgeSeconds *float64 `json:"age_seconds,omitempty" name:"feed_age_seconds" help:"Time since the source last confirmed the copy in use, where there is one."`
	// Incomplete is set while the entries are those of a first reading that has not come
	// to its end.
	Incomplete bool `json:"incomplete,omitempty" name:"-"`
	// Entries are those of the copy in use, Delta the difference to the copy before.
	Entries int `json:"entries" name:"feed_entries" help:"Entries of the copy in use." show:"some"`
	Delta   int `json:"delta" name:"-"`
	// Format, Verdict, Parsed and Rejected are the result of the parser: rows that it
	// took and rows that it did not understand, those with a name aside, with some samples.
	Format   string           `json:"format,omitempty"`
	Verdict  document.Verdict `json:"verdict,omitempty"`
	Parsed   int              `json:"parsed" name:"-"`
	Rejected int              `json:"rejected" name:"feed_rejected_rows" help:"Malformed rows of the copy in use." show:"some" words:"malformed rows"`
	// RejectedParts are those of rows of which other parts were taken.
	RejectedParts int               `json:"rejected_parts" name:"feed_rejected_parts" help:"Malformed parts of rows of the copy in use, in rows with valid parts."`
	Samples       []document.Reject `json:"samples,omitempty" name:"-"`
	// Accepted entries are in the table, Duplicate ones were there already, Refused
	// ones were stopped by a guard, Expired ones are too old, Unique ones stand on
	// prefixes that no other feed lists.
	Accepted  int                   `json:"accepted" name:"feed_accepted_entries" help:"Entries of the copy in use that are in the set."`
	Duplicate int                   `json:"duplicate" name:"-"`
	Refused   map[lookup.Reason]int `json:"refused,omitempty" name:"feed_refused_entries" help:"Entries of the copy in use that a guard excluded, by reason." label:"reason"`
	Expired   int                   `json:"expired,omitempty" name:"feed_expired_entries" help:"Entries of the copy in use that are too old."`
	Unique    int                   `json:"unique" name:"-"`
	// Stopped counts what a warninglist kept from being a hit since the start, and
	// Touched the entries of feeds that it overlaps.
	Stopped uint64 `json:"stopped,omitempty" name:"warninglist_stopped_total" help:"Hits suppressed by a warninglist." if:"Class"`
	Touched int    `json:"touched,omitempty" name:"-"`
	// LastAttempt, Code and Error are of the last fetch; Failures counts those in a
	// row. Note is what is odd about a source that works.
	LastAttempt time.Time `json:"last_attempt,omitzero" name:"-"`
	Code        int       `json:"code,omitempty" name:"-"`
	Error       string    `json:"error,omitempty" show:"some"`
	Failures    int       `json:"failures,omitempty" name:"feed_failures" help:"Consecutive failed attempts."`
	Note        string    `json:"note,omitempty"`
	// Bad are pieces of the source that could not be read, the longest known first, as far
	// as they are named; BadPieces is how many there are. The others are used, and what is
	// known of these from earlier stays.
	Bad       []source.Piece `json:"bad,omitempty" name:"-"`
	BadPieces int            `json:"bad_pieces" name:"feed_bad_pieces" help:"Collections, events, pulses and other pieces of the source that cannot be read."`
	// Unreadable is why the copy in use cannot be read now; its entries that are in force
	// stay. ReadErrors counts such failures since the start.
	Unreadable string `json:"unreadable,omitempty"`
	ReadErrors uint64 `json:"read_errors" name:"feed_read_errors_total" help:"Failed reads of the stored copy of a feed." show:"some" words:"failed reads of the stored copy"`
	// IntervalSeconds is the usual time between two fetches, Next is the next one by
	// schedule, NotBefore the earliest by hand.
	IntervalSeconds float64 `json:"interval_seconds" name:"-"`
	// MaxAgeSeconds is how old entries may be; 0 = any age. Operator marks the operator's
	// own list.
	MaxAgeSeconds float64   `json:"max_age_seconds,omitempty" name:"-"`
	Operator      bool      `json:"operator,omitempty" name:"-"`
	Next          time.Time `json:"next,omitzero" name:"-"`
	NotBefore     time.Time `json:"not_before,omitzero" name:"-"`
	// Held is why a newer copy of HeldEntries entries is not used.
	Held        string    `json:"held,omitempty" name:"feed_held_back" help:"1 while a newer copy is held back." show:"some" words:"held back"`
	HeldEntries int       `json:"held_entries,omitempty" name:"-"`
	HeldSince   time.Time `json:"held_since,omitzero" name:"-"`
	// Names are the domain and host names of the copy in use, which no table has.
	Names int `json:"names,omitempty" name:"feed_names" help:"Domain and host names of the copy in use, for exports."`
	// BadNames are malformed ones, DroppedNames those beyond the bounds of a copy.
	BadNames     int `json:"bad_names,omitempty" name:"feed_bad_names" help:"Names of the copy in use that are malformed, and so in no export." show:"some" words:"malformed names"`
	DroppedNames int `json:"dropped_names,omitempty" name:"feed_dropped_names" help:"Names beyond the bounds of the copy in use, and so in no export." show:"some" words:"names too many"`
	// Objects are the pulses, events or indicators of the copy in use, of a source that is
	// read piece by piece, also those without an address.
	Objects int `json:"objects,omitempty" name:"feed_objects" help:"Pulses, events or indicators of the copy in use, of sources that are read piece by piece."`
	// Requests counts those sent since the start, SlowRequests those of them that were
	// given up as too slow, RefusedRedirects the redirects that were not followed.
	Requests         int    `json:"requests" name:"feed_requests_total" help:"Requests sent to the source."`
	SlowRequests     uint64 `json:"slow_requests" name:"feed_slow_requests_total" help:"Requests aborted because the source was too slow."`
	RefusedRedirects uint64 `json:"refused_redirects" name:"feed_refused_redirects_total" help:"Redirects of the source that were not followed."`
}

// Age of the data in use: since the source last confirmed it. Zero when there is
// none.
func (s *Status) Age(now time.Time) time.Duration {
	if s.Taken.IsZero() {
		return 0
	}
	last := s.Checked
	if s.Taken.After(last) {
		last = s.Taken
	}
	return max(now.Sub(last), 0)
}

// oldData is from when on data are old by their own words, if the operator allows no
// other age: all lists with a preset are published anew at least once a month.
const oldData = 30 * 24 * time.Hour

// DataAge is the age of the data in use by their own words; ok is false where they have
// no date.
func (s *Status) DataAge(now time.Time) (age time.Duration, ok bool) {
	if s.Updated.IsZero() {
		return 0, false
	}
	return max(now.Sub(s.Updated), 0), true
}

// DataOld reports whether the data in use are old by their own words, however new the copy
// is. A list that the operator keeps may be of any age.
func (s *Status) DataOld(now time.Time) bool {
	age, ok := s.DataAge(now)
	limit := oldData
	if s.MaxAgeSeconds > 0 {
		limit = min(limit, time.Duration(s.MaxAgeSeconds*float64(time.Second)))
	}
	return ok && age > limit && !s.Operator
}

// statusOf gives what the runner of a feed knows.
func statusOf(r *runner.Runner) Status {
	v, p := r.View(), &r.Spec
	s := Status{
		Name: p.Name, Source: p.Place(), Kind: string(p.Kind), Class: p.Class,
		Checked: v.State.Checked, LastAttempt: v.State.LastAttempt, Code: v.State.Code, Error: v.State.Error,
		Failures: v.State.Failures, Note: v.State.Note, Next: v.State.Due, NotBefore: v.State.NotBefore,
		IntervalSeconds: p.Interval.Seconds(), MaxAgeSeconds: p.MaxAge.Seconds(), Operator: p.Operator,
		BadPieces: len(v.State.Bad), Bad: slices.Clone(v.State.Bad[:min(len(v.State.Bad), source.ShownPieces)]),
		Unreadable: v.Unreadable, ReadErrors: v.ReadErrors,
		Requests: v.Requests, SlowRequests: v.SlowRequests, RefusedRedirects: v.RefusedRedirects,
	}
	if g := v.Good; g != nil {
		s.Objects, s.Updated = g.Objects, g.Parsed.Updated
		if s.Incomplete = g.Partial; !s.Incomplete {
			s.Taken = g.Taken
		}
		s.BadNames, s.DroppedNames = g.Parsed.BadNames, g.DroppedNames()
		if g.Names != nil {
			s.Names = g.Names.Count
		}
		s.Entries, s.Delta = g.Entries, g.Entries-g.Previous
		s.Format, s.Verdict = g.Parsed.Format, g.Parsed.Verdict
		s.RejectedParts = g.Parsed.RejectedParts
		s.Parsed, s.Rejected, s.Samples = g.Parsed.Accepted, g.Parsed.NotUnderstood(), g.Parsed.Samples
	}
	if v.Held != nil {
		s.Held, s.HeldEntries, s.HeldSince = v.Held.Held, v.Held.Entries, v.Held.Taken
	}
	return s
}
