package store

import (
	"database/sql"
	"math"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// A hostSum is a row of host_sum, or what is added to it.
type hostSum struct {
	offenders, days    int64
	sums               incident.Sums
	first, last, worst int64
	flags              batch.Flags
}

// sumOf gives what a batch adds to the sums of a host.
func (w *writing) sumOf(host int64) *hostSum {
	s := w.hostSum[host]
	if s == nil {
		s = &hostSum{first: math.MaxInt64, last: math.MinInt64}
		w.hostSum[host] = s
	}
	return s
}

func (s *hostSum) add(c *batch.Contact, ch *change) {
	s.merge(&hostSum{sums: ch.sums, first: c.First, last: c.Last, worst: int64(c.Worst), flags: c.Flags})
}

func (s *hostSum) merge(o *hostSum) {
	s.offenders += o.offenders
	s.days += o.days
	s.sums.Add(o.sums)
	s.first, s.last, s.worst = min(s.first, o.first), max(s.last, o.last), max(s.worst, o.worst)
	s.flags |= o.flags
}

// countDays counts the days of hosts that have no row yet.
func (w *writing) countDays() error {
	keys := make([]any, 0, 2*len(w.hostDay))
	for k := range w.hostDay {
		w.hostSum[k.host].days++
		keys = append(keys, k.day, k.host)
	}
	return w.Fetch(schema.HostDay, keys, func(r *sql.Rows) error {
		var n [5]int64
		err := r.Scan(&n[0], &n[1], &n[2], &n[3], &n[4])
		w.hostSum[n[1]].days--
		return err
	})
}

// hostSums adds what is new of hosts.
func (w *writing) hostSums() error {
	var hosts []int64
	var keys []any
	for host, s := range w.hostSum {
		if s.last != math.MinInt64 { // something was added
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	for _, host := range hosts {
		keys = append(keys, host)
	}
	err := w.Fetch(schema.HostSum, keys, func(r *sql.Rows) error {
		var host int64
		s, err := scanHostSum(r, &host)
		w.hostSum[host].merge(&s)
		return err
	})
	if err != nil {
		return err
	}
	var values []any
	for _, host := range hosts {
		values = w.hostSum[host].values(values, host)
	}
	return w.Put(schema.HostSum, values)
}

func scanHostSum(r *sql.Rows, host *int64) (s hostSum, err error) {
	var n [6]int64
	err = r.Scan(host, &s.offenders, &n[0], &n[1], &n[2], &n[3], &n[4], &s.first, &s.last, &s.days, &s.worst, &n[5])
	s.sums, s.flags = schema.Sums(n[:]), batch.Flags(n[5])
	return s, err
}

func (s *hostSum) values(out []any, host int64) []any {
	return append(schema.SumsValues(append(out, host, s.offenders), &s.sums), s.first, s.last, s.days, s.worst, int64(s.flags))
}

// recountHost sums a host up anew, after rows of incident_host were deleted. Its days stay.
func recountHost(w *database.Tx, host int64) error {
	s := hostSum{first: math.MaxInt64, last: math.MinInt64}
	err := w.Each("SELECT days FROM host_sum WHERE host = $1", func(r *sql.Rows) error { return r.Scan(&s.days) }, host)
	if err != nil {
		return err
	}
	err = w.Each("SELECT host, 1, flows, packets_out, packets_in, bytes_out, bytes_in, first_seen, last_seen, 0, worst, flags FROM incident_host WHERE host = $1",
		func(r *sql.Rows) error {
			var host int64
			one, err := scanHostSum(r, &host)
			s.merge(&one)
			return err
		}, host)
	if err != nil {
		return err
	}
	if s.offenders == 0 {
		s.first, s.last, s.days = 0, 0, 0
	}
	return w.Put(schema.HostSum, s.values(nil, host))
}
