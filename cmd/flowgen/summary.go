package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A summary counts what was sent. Template datagrams are among the datagrams;
// bytes are those of UDP payloads.
type summary struct {
	Version   string     `json:"version"`
	Exporters int        `json:"exporters"`
	Distinct  int        `json:"distinct_flows"`
	Datagrams uint64     `json:"datagrams"`
	Templates uint64     `json:"templates"`
	Flows     uint64     `json:"flows"`
	Hits      uint64     `json:"hits"`
	Bytes     uint64     `json:"bytes"`
	Errors    sendErrors `json:"errors"`
	// Unsent datagrams were given up after several errors. They are in none of the
	// numbers above, but have used up a sequence number.
	Unsent  uint64  `json:"unsent"`
	Elapsed float64 `json:"elapsed_s"`
	Rate    float64 `json:"flows_per_s"`
}

// sendErrors counts failed attempts; the datagram was sent again.
type sendErrors struct {
	NoBuffer uint64 `json:"no_buffer"` // ENOBUFS: the kernel's queue was full
	Refused  uint64 `json:"refused"`   // ECONNREFUSED: no listener
	Other    uint64 `json:"other"`
}

func (e *sendErrors) count(err error) {
	switch {
	case errors.Is(err, syscall.ENOBUFS):
		e.NoBuffer++
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Refused++
	default:
		e.Other++
	}
}

// sent adds a datagram.
func (s *summary) sent(m *message) {
	s.Datagrams++
	s.Bytes += uint64(len(m.payload))
	s.Flows += uint64(m.flows)
	s.Hits += uint64(m.hits)
	if m.flows == 0 {
		s.Templates++
	}
}

// finish fills in the time and the rate.
func (s *summary) finish(elapsed time.Duration) {
	s.Elapsed = elapsed.Seconds()
	if s.Elapsed > 0 {
		s.Rate = float64(s.Flows) / s.Elapsed
	}
}

// String is the line for people.
func (s summary) String() string {
	return fmt.Sprintf("%s: sent %d datagrams (%d of templates), %d flows (%d aimed at the list), %d bytes from %d exporters "+
		"in %.3f s = %.0f flows/s; errors: %d no buffer, %d refused, %d other; %d datagrams unsent",
		s.Version, s.Datagrams, s.Templates, s.Flows, s.Hits, s.Bytes, s.Exporters,
		s.Elapsed, s.Rate, s.Errors.NoBuffer, s.Errors.Refused, s.Errors.Other, s.Unsent)
}

// JSON is the same as one line of JSON.
func (s summary) JSON() string {
	b, err := json.Marshal(s)
	if err != nil { // numbers and a string: cannot fail
		panic(err)
	}
	return string(b)
}
