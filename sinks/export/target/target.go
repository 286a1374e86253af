package target

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/names"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// A Target is a program that takes block lists.
type Target struct {
	Name    string
	Help    string // what it is for, in one line
	Example string // the command that installs the list, see the README of this folder

	Can row.Can
	// comment begins the lines of the header; empty = write puts it where it belongs.
	comment string
	write   func(w *bufio.Writer, l *export.List)

	// LongestName is set for a target that takes names, see WriteNames: so many characters a name
	// may have.
	LongestName int
	writeNames  func(w *bufio.Writer, l *names.List)
}

// All are the targets, in the order of help.
var All = []*Target{&text, &nftables, &ipset, &pf, &openBGPD, &mikroTik, &bird, &rpzIP, &rbldnsd, &stixBundle, &rpz, &postfixAccess}

// Names gives the names of all, in the same order.
func Names() (names []string) {
	for _, t := range All {
		names = append(names, t.Name)
	}
	return names
}

// Find gives the target of a name, or nil.
func Find(name string) *Target {
	for _, t := range All {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Write writes a list that was made with what the target can.
func (t *Target) Write(w io.Writer, l *export.List) error {
	b := bufio.NewWriterSize(w, 1<<16)
	if t.comment != "" {
		for _, line := range l.Header(t.Name) {
			fmt.Fprintf(b, "%s %s\n", t.comment, line)
		}
	}
	t.write(b, l)
	return b.Flush() // has the first error of all
}

// TakesNames reports whether the target is for names and not for addresses.
func (t *Target) TakesNames() bool { return t.writeNames != nil }

// WriteNames writes a list for a target that takes names.
func (t *Target) WriteNames(w io.Writer, l *names.List) error {
	b := bufio.NewWriterSize(w, 1<<16)
	for _, line := range l.Header(t.Name) {
		fmt.Fprintf(b, "%s %s\n", t.comment, line)
	}
	t.writeNames(b, l)
	return b.Flush()
}

// seconds gives a duration in seconds, rounded up and at most so many.
func seconds(d time.Duration, most int64) string {
	return strconv.FormatInt(min(int64((d+time.Second-1)/time.Second), most), 10)
}
