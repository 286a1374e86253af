package incident

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Sort is an order of rows. Of equal rows the newer incident counts as the greater one: the
// one that was first seen later, of severity, days and hosts.
type Sort uint8

// The orders.
const (
	ByRank Sort = iota // see Less; descending is the worst first
	ByLast
	ByFirst
	BySeverity
	ByDays
	ByFlows
	ByHosts // of hosts: by their offenders
	ByBytes
)

var sorts = [...]string{ByRank: "rank", ByLast: "last", ByFirst: "first", BySeverity: "severity", ByDays: "days", ByFlows: "flows", ByHosts: "hosts", ByBytes: "bytes"}

// String gives rank, last, first, severity, days, flows, hosts or bytes.
func (s Sort) String() string {
	if int(s) < len(sorts) {
		return sorts[s]
	}
	return fmt.Sprintf("sort %d", uint8(s))
}

// Sorts are all orders.
func Sorts() []Sort {
	all := make([]Sort, len(sorts))
	for i := range all {
		all[i] = Sort(i)
	}
	return all
}

// ParseSort reads what String gives.
func ParseSort(s string) (Sort, error) {
	if i := slices.Index(sorts[:], s); i >= 0 {
		return Sort(i), nil
	}
	return 0, fmt.Errorf("%q is no order; use %s", short(s), strings.Join(sorts[:], ", "))
}

// DefaultLimit is how many rows a page has unless a query has another limit, MaxLimit the most.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// MaxCount is how far a page counts the rows of a query where counting all would take long.
const MaxCount = 10_000

// A Query is what a list shows.
type Query struct {
	Filter
	Sort       Sort
	Descending bool
	Limit      int // rows of a page; 0 = DefaultLimit, at most MaxLimit
	// After is the Next of the page before; empty = the first page. It holds for the same
	// filter and order only.
	After string
}

// A Page is a part of a list. Pages that follow each other by Next have no row twice, and
// miss none that was there all the time and kept its place in the order.
type Page[T any] struct {
	Rows []T    `json:"rows"`
	Next string `json:"next,omitempty"` // of the next page; empty = this is the last one
	// Total is how many rows all pages have, on the first page; -1 on the others, as it is
	// not counted again. With More there are more.
	Total int  `json:"total"`
	More  bool `json:"more,omitempty"`
}

// ParseQuery reads the parameters of a request: those of the filter, and sort, order (asc or
// desc), limit and after. Without an order the greatest row, which is the worst, comes first.
func ParseQuery(v url.Values) (Query, error) { return parseQuery(v, time.Now()) }

func parseQuery(v url.Values, now time.Time) (Query, error) {
	q := Query{Descending: true, Limit: DefaultLimit}
	rest := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		values := v[name]
		if !slices.Contains(queryNames, name) {
			rest[name] = values
			continue
		}
		if len(values) > 1 {
			return Query{}, &Error{name, "is given more than once"}
		}
		if len(values) == 0 || values[0] == "" {
			continue
		}
		if err := q.set(name, values[0]); err != nil {
			return Query{}, &Error{name, err.Error()}
		}
	}
	var err error
	q.Filter, err = parseFilter(rest, now)
	return q, err
}

var queryNames = []string{"sort", "order", "limit", "after"}

func (q *Query) set(name, s string) (err error) {
	switch name {
	case "sort":
		q.Sort, err = ParseSort(s)
	case "order":
		q.Descending = s != "asc"
		if s != "asc" && s != "desc" {
			err = fmt.Errorf("%q; use asc or desc", short(s))
		}
	case "limit":
		q.Limit, err = strconv.Atoi(s)
		if err != nil || q.Limit < 1 || q.Limit > MaxLimit {
			err = fmt.Errorf("%q; 1 to %d is allowed", short(s), MaxLimit)
		}
	case "after":
		q.After = s
		err = plain(s)
	}
	return err
}

// Values gives the query as the parameters of a request: what ParseQuery reads.
func (q *Query) Values() url.Values {
	v := q.Filter.Values()
	if q.Sort != ByRank {
		v.Set("sort", q.Sort.String())
	}
	if !q.Descending {
		v.Set("order", "asc")
	}
	if q.Limit != 0 && q.Limit != DefaultLimit {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	return v
}
