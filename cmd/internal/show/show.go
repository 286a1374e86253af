// Package show has what the texts of commands have in common: sizes and dates for people,
// counters that are not zero, and names that cannot upset a terminal. The commands and the
// components of the running instance print with it.
package show

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A tally is a counter with its name.
type tally struct {
	n    uint64
	name string
}

// Count gives a counter its name, for [Some].
func Count(n uint64, name string) tally { return tally{n, name} }

// Some prints the counters that are not 0, each after a comma.
func Some(list ...tally) string {
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

// Size prints bytes for people.
func Size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

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
