package schedule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/guard"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A State is what must be known of a source before it may be asked. It is on the
// disk before a request leaves, as if the request had failed already: a process that
// dies in the middle comes back with the patience of a failed attempt.
type State struct {
	Origin      string    `json:"origin"`
	LastAttempt time.Time `json:"last_attempt"`
	// NotBefore is the earliest next request, whoever asks: the provider's floor, or
	// what it has asked for.
	NotBefore time.Time `json:"not_before"`
	// Due is when the schedule asks next.
	Due time.Time `json:"due"`
	// Checked is when the source last answered well, Failures how often it has not
	// since.
	Checked  time.Time `json:"checked,omitzero"`
	Failures int       `json:"failures"`
	// Slow counts the readings in a row that were too much for the service.
	Slow int `json:"slow,omitempty"`
	// Code is the last HTTP status, Error what went wrong at the last attempt.
	Code  int    `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// Accepted is what an operator has accepted of the feed, in spite of a guard.
	Accepted guard.Accepted `json:"accepted,omitzero"`
	// Note is what is worth knowing of a source that works.
	Note string `json:"note,omitempty"`
	// Bad are the pieces that could not be read, Incomplete counts the fetches in a row
	// that went well but for them.
	Bad        []source.Piece `json:"bad,omitempty"`
	Incomplete int            `json:"incomplete,omitempty"`
}

// Load reads the state of a feed; that of another origin is no state. A broken
// file is one too, with an error.
func Load(d *store.Disk, path, origin string) (State, error) {
	fresh := State{Origin: origin}
	b, err := d.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	var s State
	if err == nil {
		err = parseState(b, &s)
	}
	if err != nil {
		return fresh, fmt.Errorf("%s: %w", path, err)
	}
	if s.Origin != origin {
		return fresh, nil
	}
	return s, nil
}

// parseState reads what save has written. The sum is there because a date with a
// changed bit is a date as well.
func parseState(b []byte, s *State) error {
	sum, text, _ := bytes.Cut(bytes.TrimSuffix(b, []byte("\n")), []byte(" "))
	if string(sum) != sumOf(text) {
		return errors.New("damaged")
	}
	return json.Unmarshal(text, s)
}

func sumOf(text []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)) }

// Save writes the state: a CRC-32 in hex, a blank and a JSON object.
func (s *State) Save(d *store.Disk, path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return d.WriteFile(path, fmt.Appendf(nil, "%s %s\n", sumOf(b), b))
}

// Repair limits what a clock that was wrong once can do: a Pi without battery may
// have written the state in another year.
func (s *State) Repair(now time.Time, sp *spec.Spec) {
	latest := now.Add(max(sp.Interval+sp.Interval/10, spec.MaxWait))
	if s.Due.After(latest) {
		s.Due = latest
	}
	if s.NotBefore.After(latest) {
		s.NotBefore = latest
	}
	if s.LastAttempt.After(now) {
		s.LastAttempt = now
	}
}

// On gives the state with the times of its schedule by another clock. On the disk they
// are by the date that can be trusted, in memory by the monotonic clock: the wall clock
// may be set while they are waited for.
func (s State) On(from, to time.Time) State {
	for _, t := range []*time.Time{&s.LastAttempt, &s.NotBefore, &s.Due} {
		if !t.IsZero() {
			*t = to.Add(t.Sub(from))
		}
	}
	return s
}

// Begin notes an attempt, as a failed one.
func (s *State) Begin(now time.Time, sp *spec.Spec) {
	s.LastAttempt = now
	s.Failures++
	s.Code = 0
	s.Error = "interrupted: the process ended during the attempt"
	s.wait(now, backoff(sp, s.Failures), sp.Floor)
}

// Succeed notes that the source has answered well.
func (s *State) Succeed(now time.Time, sp *spec.Spec) {
	s.Checked = now
	s.Failures = 0
	s.Error = ""
	s.wait(now, jitter(sp.Interval), sp.Floor)
}

// SucceedInPart brings the next fetch forward after one that went well but for some pieces, as
// after a failure.
func (s *State) SucceedInPart(now time.Time, sp *spec.Spec) {
	if len(s.Bad) == 0 {
		s.Incomplete = 0
		return
	}
	s.Incomplete++
	s.wait(now, jitter(backoff(sp, s.Incomplete)), sp.Floor)
}

// Fail notes that it has not. Failures were counted by begin.
func (s *State) Fail(now time.Time, sp *spec.Spec, err error, text string) {
	s.Error = text
	floor := sp.Floor
	if client.NeverReached(err) {
		floor = 0 // a provider that got no packet was not bothered
	}
	pause := jitter(backoff(sp, s.Failures))
	var answer *client.StatusError
	if errors.As(err, &answer) {
		floor = max(floor, min(answer.RetryAfter, spec.MaxWait))
	}
	s.wait(now, pause, max(floor, min(pause, spec.FirstBackoff)))
}

// wait sets both times. The schedule never asks before it may.
func (s *State) wait(now time.Time, due, floor time.Duration) {
	s.NotBefore = now.Add(floor)
	s.Due = now.Add(max(due, floor))
}

// backoff gives the pause after so many failures: a minute, doubled each time, up to
// the interval.
func backoff(sp *spec.Spec, failures int) time.Duration {
	pause := spec.FirstBackoff << min(max(failures-1, 0), 20)
	return min(pause, sp.Interval)
}

// jitter spreads a pause by a tenth to both sides, so that clients that were started
// together part.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*float64(d)/10)
}
