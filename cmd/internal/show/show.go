// Package show has what the texts of commands have in common: sizes and dates for people,
// counters that are not zero, and names that cannot upset a terminal. The commands and the
// components of the running instance print with it.
package show

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// A Tally is a counter with its name.
type Tally struct {
	n    uint64
	name string
}

// Count gives a counter its name, for [Some].
func Count(n uint64, name string) Tally { return Tally{n, name} }

// Some prints the counters that are not 0, each after a comma.
func Some(list ...Tally) string {
	var b strings.Builder
	for _, c := range list {
		if c.n > 0 {
			fmt.Fprintf(&b, ", %d %s", c.n, c.name)
		}
	}
	return b.String()
}

// Day prints a date for people, in local time.
func Day(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Date prints a date with its time zone, for texts that are read elsewhere.
func Date(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// Printable makes foreign text safe for a terminal.
func Printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			out[i] = '?'
		}
	}
	return string(out)
}

// Plain makes foreign text safe for a terminal, in one line of at most so many bytes.
func Plain(s string, most int) string { return string(fit.AppendPlain(nil, s, most)) }
