// Package reported remembers what people have been notified of, over restarts too: when, and how
// bad it was, so that they hear of it again when it gets worse, or after a while. It is a
// small file in the state directory, written after each message.
package reported

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Max is the number of offenders and alerts that are remembered. Beyond it the oldest are
// forgotten, and would be reported again.
const Max = 10_000

// maxFile bounds the file, in bytes: it has at most 150 for each subject.
const maxFile = 4 << 20

// format is that of the file. A newer one is not read.
const format = 1

// A Subject is what is reported once: an offender, or an alert with its reason.
type Subject struct {
	Offender netip.Addr
	Alert    string
	Reason   uint64 // hash of the text
}

// A Fact is how bad a subject was when it was reported.
type Fact struct {
	At       time.Time
	Severity event.Severity
	Answered bool // by a host of ours, or by the offender
	Called   bool // a host of ours opened it
}

// Worst gives the worst of both.
func (f Fact) Worst(g Fact) Fact {
	f.Severity = max(f.Severity, g.Severity)
	f.Answered, f.Called = f.Answered || g.Answered, f.Called || g.Called
	return f
}

// A Memory has what was reported. It belongs to one goroutine.
type Memory struct {
	path  string // empty = in memory only
	facts map[Subject]Fact
	order []Subject // at most slack more than Max
}

// line is one subject in the file.
type line struct {
	Offender netip.Addr     `json:"offender,omitzero"`
	Alert    string         `json:"alert,omitempty"`
	Reason   uint64         `json:"reason,omitempty"`
	At       int64          `json:"at"` // seconds since 1970
	Severity event.Severity `json:"severity"`
	Answered bool           `json:"answered,omitempty"`
	Called   bool           `json:"called,omitempty"`
}

// Open reads the file at a path; "" = nothing is kept on disk. A file that is damaged is an error
// beside a memory of what could be read: people hear of the rest once more. Facts that lie in
// the future, for the clock was wrong, count as of now.
func Open(path string, now time.Time) (*Memory, error) {
	m := &Memory{path: path, facts: map[Subject]Fact{}}
	if path == "" {
		return m, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return m, err
	}
	if err := m.read(b, now); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func (m *Memory) read(b []byte, now time.Time) error {
	d := json.NewDecoder(bytes.NewReader(b))
	var head struct {
		Format int `json:"format"`
		Facts  int `json:"facts"`
	}
	switch err := d.Decode(&head); {
	case len(b) > maxFile:
		return fmt.Errorf("has more than %d bytes", maxFile)
	case err != nil:
		return fmt.Errorf("is damaged: %w", err)
	case head.Format != format:
		return fmt.Errorf("has format %d, and %d is known", head.Format, format)
	}
	for range head.Facts {
		var l line
		if err := d.Decode(&l); err != nil {
			return fmt.Errorf("is damaged: %w", err)
		}
		at := time.Unix(l.At, 0)
		if at.After(now) {
			at = now
		}
		m.Note(Subject{l.Offender, l.Alert, l.Reason}, Fact{at, min(l.Severity, event.Critical), l.Answered, l.Called})
	}
	return nil
}

// Of gives what was reported of a subject.
func (m *Memory) Of(s Subject) (Fact, bool) {
	f, ok := m.facts[s]
	return f, ok
}

// Len is how many subjects it remembers.
func (m *Memory) Len() int { return len(m.order) }

// slack is by how many the memory grows beyond Max before it is put in order.
const slack = 1000

// Note remembers that a subject was reported, and forgets those beyond Max that were not
// reported for the longest time.
func (m *Memory) Note(s Subject, f Fact) {
	if _, again := m.facts[s]; !again {
		m.order = append(m.order, s)
	}
	m.facts[s] = f
	if len(m.order) >= Max+slack {
		m.forget()
	}
}

// forget forgets what is beyond Max.
func (m *Memory) forget() {
	slices.SortStableFunc(m.order, func(a, b Subject) int { return m.facts[a].At.Compare(m.facts[b].At) })
	over := max(len(m.order)-Max, 0)
	for _, old := range m.order[:over] {
		delete(m.facts, old)
	}
	m.order = slices.Delete(m.order, 0, over)
}

// Save writes the file, in one step: after a crash it is the old one or the new one.
func (m *Memory) Save() error {
	if m.path == "" {
		return nil
	}
	m.forget()
	return disk.ReplaceBy(disk.OS{}, m.path, 0o600, func(w io.Writer) error {
		e := json.NewEncoder(w)
		err := e.Encode(struct {
			Format int `json:"format"`
			Facts  int `json:"facts"`
		}{format, len(m.order)})
		for _, s := range m.order {
			f := m.facts[s]
			if err != nil {
				break
			}
			err = e.Encode(line{s.Offender, s.Alert, s.Reason, f.At.Unix(), f.Severity, f.Answered, f.Called})
		}
		return err
	})
}
