package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// fit lays sections out in so many rows and columns; 0 = there is no end. The rows that
// there are go round the sections, so that each shows its first ones. What is left out
// is counted in the heading.
func fit(list []section, rows, columns int) []string {
	shown := make([]int, len(list))
	left := rows
	for i, s := range list {
		if s.whole || rows == 0 {
			shown[i] = len(s.rows)
		}
		left -= shown[i]
		if s.heading != "" {
			left--
		}
	}
	for given := true; given && rows > 0; {
		given = false
		for i, s := range list {
			if left > 0 && shown[i] < len(s.rows) {
				shown[i]++
				left--
				given = true
			}
		}
	}
	var lines []string
	for i, s := range list {
		if s.heading != "" {
			lines = append(lines, s.heading)
			if n := len(s.rows) - shown[i]; n > 0 {
				lines[len(lines)-1] = note(s.heading, fmt.Sprintf("(%d more)", n))
			}
		}
		lines = append(lines, s.rows[:shown[i]]...)
	}
	if rows > 0 {
		lines = lines[:min(len(lines), rows)]
	}
	for i := range lines {
		lines[i] = strings.TrimRight(cut(printable(lines[i]), columns), " ")
	}
	return lines
}

// note puts a word behind the first one of a heading, where the columns leave room.
func note(heading, word string) string {
	first, rest, _ := strings.Cut(heading, "  ")
	gap := "  " + rest
	if n := len(word) + 1; strings.HasPrefix(gap, strings.Repeat(" ", n+1)) {
		gap = gap[n:]
	}
	return first + " " + word + gap
}

// cut shortens a line to so many columns; 0 = there is no end.
func cut(line string, columns int) string {
	if r := []rune(line); columns > 0 && len(r) > columns {
		return string(r[:columns])
	}
	return line
}

// A painter shows one list of lines after the other. On a terminal it draws only what has
// changed, for slow lines; elsewhere it prints all, with an empty line between.
type painter struct {
	out      io.Writer
	terminal *os.File // nil = none
	lines    []string // on the screen
	rows     int      // of the terminal, when they were drawn
	columns  int
}

func newPainter(out io.Writer) *painter { return &painter{out: out, terminal: screenOf(out)} }

// screenOf gives the terminal behind an output, nil if there is none that can be drawn on.
func screenOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return f
	}
	return nil
}

// size gives the room there is; 0 = there is no end. One line is left for the cursor.
func (p *painter) size() (rows, columns int) {
	if p.terminal == nil {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || rows < 2 || columns < 1 {
		rows, columns = 24, 80
	}
	if rows != p.rows || columns != p.columns {
		p.lines = nil // the terminal has moved everything
	}
	p.rows, p.columns = rows, columns
	return rows - 1, columns
}

// show lays sections out and paints them.
func (p *painter) show(list func(columns int) []section) error {
	rows, columns := p.size()
	return p.paint(fit(list(columns), rows, columns))
}

// paint shows lines, with one Write.
func (p *painter) paint(lines []string) error {
	var b bytes.Buffer
	if p.terminal == nil {
		if p.lines != nil {
			b.WriteByte('\n')
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	} else {
		drawChanges(&b, p.lines, lines)
	}
	p.lines = slices.Clone(lines)
	_, err := p.out.Write(b.Bytes())
	return err
}

// close leaves the cursor below what has been drawn, and the terminal as it was.
func (p *painter) close() {
	if p.terminal != nil && p.lines != nil {
		fmt.Fprintf(p.out, "\x1b[%d;1H\x1b[?7h", len(p.lines)+1)
	}
}

// drawChanges writes what makes a terminal that shows the lines before show those now
// (ECMA-48: CUP, EL, ED). Nothing before: the screen is cleared first, and lines that turn
// out to be too long do not wrap (DECAWM), as some characters take two columns.
func drawChanges(b *bytes.Buffer, before, now []string) {
	if before == nil {
		b.WriteString("\x1b[?7l\x1b[H\x1b[2J")
	}
	for i, line := range now {
		if i >= len(before) || before[i] != line {
			fmt.Fprintf(b, "\x1b[%d;1H%s\x1b[K", i+1, line)
		}
	}
	if len(now) < len(before) {
		fmt.Fprintf(b, "\x1b[%d;1H\x1b[J", len(now)+1)
	}
}
