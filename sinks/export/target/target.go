package target

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
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

	// load and undo are how a list is put into force and out of it, for its header; NAME stands
	// for the name of the sets, lists and protocols.
	load, undo string

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
		t.writeHeader(b, l.Header(t.Name), l.Name())
	}
	t.write(b, l)
	return b.Flush() // has the first error of all
}

// TakesNames reports whether the target is for names and not for addresses.
func (t *Target) TakesNames() bool { return t.writeNames != nil }

// WriteNames writes a list for a target that takes names.
func (t *Target) WriteNames(w io.Writer, l *names.List) error {
	b := bufio.NewWriterSize(w, 1<<16)
	t.writeHeader(b, l.Header(t.Name), l.Name())
	t.writeNames(b, l)
	return b.Flush()
}

// writeHeader writes what a list is, and how it is put into force and out of it.
func (t *Target) writeHeader(w *bufio.Writer, about []string, name string) {
	for _, line := range about {
		fmt.Fprintf(w, "%s %s\n", t.comment, line)
	}
	for _, how := range [][2]string{{"load", t.load}, {"undo", t.undo}} {
		fmt.Fprintf(w, "%s %s: %s\n", t.comment, how[0], strings.ReplaceAll(how[1], "NAME", name))
	}
}

// seconds gives a duration in seconds, rounded up and at most so many.
func seconds(d time.Duration, most int64) string {
	return strconv.FormatInt(min(int64((d+time.Second-1)/time.Second), most), 10)
}
