package row

import (
	"fmt"
	"strings"
	"time"
)

// A Head is what lists of prefixes and of names have in common: their name, filter and time.
type Head struct {
	Lacks []string // feeds that have no complete copy yet

	name, filter string
	made         time.Time // UTC; zero = none is shown
}

// NewHead makes a head. made is in UTC; zero = the list must not show it.
func NewHead(name, filter string, made time.Time) Head {
	return Head{name: name, filter: filter, made: made}
}

// Name is the name of the sets, lists and protocols that a target defines.
func (h *Head) Name() string { return h.name }

// Made is when the list was made, in UTC; zero = the list must not show it.
func (h *Head) Made() time.Time { return h.made }

// HideTime removes the time, so that the list does not show it.
func (h *Head) HideTime() { h.made = time.Time{} }

// ID is a text that lists of the same name and filter have in common, whenever they are made.
func (h *Head) ID() string { return h.name + " " + h.filter }

// Serial is the number of this state of a DNS zone. It grows with the time.
func (h *Head) Serial() uint32 {
	if h.made.IsZero() {
		return 1
	}
	return uint32(h.made.Unix())
}

// maxLine is how long the lines of a header can be, in bytes.
const maxLine = 1000

// Lines gives the lines that a list begins with, safe in a comment of every target: first how
// many rows it has, and how many were cut.
func (h *Head) Lines(count string, cut int) []string {
	if cut > 0 {
		count += fmt.Sprintf("; cut to the best scores, %d more are left out", cut)
	}
	lines := []string{count, Plain("filter: "+h.filter, maxLine)}
	if len(h.Lacks) > 0 {
		lines = append(lines, Plain("incomplete: there is no complete copy yet of "+strings.Join(h.Lacks, ", "), maxLine))
	}
	if !h.made.IsZero() {
		lines = append(lines, "made: "+h.made.Format(time.RFC3339))
	}
	return lines
}
