package journal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/segment"
)

// An OpenReport is what Open found, and what it had to discard.
type OpenReport struct {
	Segments int
	Bytes    int64  // of the segments, after repair
	Events   uint64 // numbers that they span; sinks may have had them
	Cursors  int

	// The last segment alone is looked into. Damage in others shows when a sink
	// gets there, and is counted with it.

	TornBytes     int64    // cut off behind the last good record
	DamagedBytes  int64    // passed over between good records
	MissingEvents uint64   // known to have been in the damage
	LostEvents    uint64   // not there any more behind the last record
	BadCursors    []string // files of no use; their sinks get all that is there
	LostCursors   []string // sinks whose file is not there; they get all that is there

	// Unreadable are files that could not be read, though nothing shows that they are
	// damaged. What is in a segment comes as soon as it can be read; the place of a sink
	// is set aside, and the sink gets all that is there.
	Unreadable []string
}

// Damaged reports whether anything was discarded or could not be read.
func (r OpenReport) Damaged() bool {
	return r.TornBytes > 0 || r.DamagedBytes > 0 || r.MissingEvents > 0 || r.LostEvents > 0 || len(r.BadCursors) > 0 || len(r.LostCursors) > 0 || len(r.Unreadable) > 0
}

// String is the report in one line.
func (r OpenReport) String() string {
	s := fmt.Sprintf("%d segments, %d bytes, %d events, %d cursors", r.Segments, r.Bytes, r.Events, r.Cursors)
	if r.TornBytes > 0 {
		s += fmt.Sprintf("; cut off %d bytes of an unfinished record", r.TornBytes)
	}
	if r.DamagedBytes > 0 || r.MissingEvents > 0 {
		s += fmt.Sprintf("; passed over %d damaged bytes, %d events", r.DamagedBytes, r.MissingEvents)
	}
	if r.LostEvents > 0 {
		s += fmt.Sprintf("; %d events are gone from its end, which not all sinks may have had", r.LostEvents)
	}
	if len(r.BadCursors) > 0 {
		s += "; cannot read " + strings.Join(r.BadCursors, ", ") + ", these sinks get all that is there"
	}
	if len(r.LostCursors) > 0 {
		s += "; the positions of " + strings.Join(r.LostCursors, ", ") + " are missing, these sinks get all that is there"
	}
	if len(r.Unreadable) > 0 {
		s += "; not readable for now: " + strings.Join(r.Unreadable, ", ")
	}
	return s
}

// add adds what a lane has found, and the number of events that are gone from its end.
func (r *OpenReport) add(files segment.Report, places position.Report, lost uint64) {
	r.TornBytes += files.Torn
	r.DamagedBytes += files.Damaged
	r.MissingEvents += files.Missing
	r.LostEvents += lost
	r.Cursors = max(r.Cursors, places.Cursors)
	if files.Unreadable != nil {
		r.Unreadable = append(r.Unreadable, files.Unreadable.Error())
	}
	r.Unreadable = append(r.Unreadable, places.Unreadable...)
	r.BadCursors = append(r.BadCursors, places.Bad...)
	for _, name := range places.Missing {
		if !slices.Contains(r.LostCursors, name) {
			r.LostCursors = append(r.LostCursors, name)
		}
	}
}
