package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"golang.org/x/term"
)

// A style is how a piece of text looks on a terminal that shows colours.
type style uint8

const (
	normal style = iota
	strong
	caution // yellow
	alarm   // red and strong
)

// on are the codes that begin a style (ECMA-48, select graphic rendition).
var on = [...]string{normal: "", strong: "\x1b[1m", caution: "\x1b[33m", alarm: "\x1b[1;31m"}

// A piece is text of one style. Whatever a terminal would obey is replaced when it is drawn.
type piece struct {
	text  string
	style style
}

// A line is one row of the screen, or a cell of it.
type line []piece

func plain(s string) line { return line{{s, normal}} }

func plainf(format string, args ...any) line { return plain(fmt.Sprintf(format, args...)) }

// width is the number of characters.
func (l line) width() (n int) {
	for _, p := range l {
		n += utf8.RuneCountInString(p.text)
	}
	return n
}

// String gives the text without styles.
func (l line) String() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return b.String()
}

// cut shortens a line to so many columns, the last of which shows that it was cut.
func (l line) cut(columns int) line {
	if l.width() <= columns {
		return l
	}
	var out line
	left := columns - 1
	for _, p := range l {
		r := []rune(p.text)
		if len(r) > left {
			r = r[:max(left, 0)]
		}
		left -= len(r)
		out = append(out, piece{string(r), p.style})
	}
	return append(out, piece{"…", normal})
}

// draw gives what is written to a terminal: printable text, with styles where there are
// colours, and without blanks at its end.
func (l line) draw(colour bool) string {
	l = slices.Clone(l)
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].text = strings.TrimRight(l[i].text, " "); l[i].text != "" {
			break
		}
	}
	var b strings.Builder
	for _, p := range l {
		if p.text == "" {
			continue
		}
		if !colour || p.style == normal {
			b.WriteString(show.Printable(p.text))
			continue
		}
		b.WriteString(on[p.style] + show.Printable(p.text) + "\x1b[0m")
	}
	return b.String()
}

// A section is a part of the screen: a heading, which may be empty, and rows.
type section struct {
	heading line
	// label is the word of the heading behind which the number of rows left out is put.
	label string
	rows  []line
	// hidden adds to that number what the rows from one on are; nil = nothing.
	hidden func(from int) string
	whole  bool // all rows are shown, or none
	// share is how many rows it gets at a time while there is room; 0 = one.
	share int
	// rank is the order in which sections are left out on a small terminal, the highest
	// first; 0 = never.
	rank int
}

// least is how many rows a section takes at least.
func (s *section) least() (n int) {
	if len(s.heading) > 0 {
		n++
	}
	if s.whole {
		return n + len(s.rows)
	}
	return n + min(len(s.rows), 1)
}

// fit lays sections out in so many rows and columns; 0 = there is no end. Sections that
// have no room for a row are left out; the rows that are left over go round the others,
// so that each shows its first ones. What is left out of a section is counted in its
// heading.
func fit(list []section, rows, columns int) []line {
	if rows > 0 {
		list = withRoom(list, rows)
	}
	shown := spread(list, rows)
	var lines []line
	for i, s := range list {
		if len(s.heading) > 0 {
			heading := s.heading
			if n := len(s.rows) - shown[i]; n > 0 {
				more := fmt.Sprintf("(%d more", n)
				if s.hidden != nil {
					more += s.hidden(shown[i])
				}
				heading = note(heading, s.label, more+")")
			}
			lines = append(lines, heading)
		}
		lines = append(lines, s.rows[:shown[i]]...)
	}
	if rows > 0 {
		lines = lines[:min(len(lines), rows)]
	}
	if columns > 0 {
		for i := range lines {
			lines[i] = lines[i].cut(columns)
		}
	}
	return lines
}

// withRoom leaves out sections, by their rank, until each of the others has room for a row.
func withRoom(list []section, rows int) []section {
	for {
		need, last := 0, 0
		for i := range list {
			need += list[i].least()
			if list[i].rank > list[last].rank {
				last = i
			}
		}
		if need <= rows || list[last].rank == 0 {
			return list
		}
		list = slices.Delete(slices.Clone(list), last, last+1)
	}
}

// spread gives the number of rows that each section shows.
func spread(list []section, rows int) []int {
	shown := make([]int, len(list))
	left := rows
	for i := range list {
		if s := &list[i]; s.whole || rows == 0 {
			shown[i] = len(s.rows)
		} else {
			shown[i] = min(len(s.rows), 1)
		}
		left -= list[i].least()
	}
	for given := true; given && left > 0; {
		given = false
		for i := range list {
			n := min(max(list[i].share, 1), len(list[i].rows)-shown[i], left)
			shown[i] += n
			left -= n
			given = given || n > 0
		}
	}
	return shown
}

// note puts a word behind a label in a heading, into the blanks that follow it.
func note(heading line, label, word string) line {
	out := slices.Clone(heading)
	for i, p := range out {
		before, after, ok := strings.Cut(p.text, label)
		if !ok {
			continue
		}
		word = " " + word
		n := utf8.RuneCountInString(word)
		if blanks := len(after) - len(strings.TrimLeft(after, " ")); after != "" && blanks <= n {
			n = max(0, blanks-1)
		}
		out[i].text = before + label + word + after[min(n, len(after)):]
		break
	}
	return out
}

// A painter shows one screen after the other. On a terminal it draws only what has
// changed, for slow lines; elsewhere it prints all, with an empty line between.
type painter struct {
	out      io.Writer
	terminal *os.File // nil = none
	colour   bool
	lines    []string // on the screen
	rows     int      // of the terminal, when they were drawn
	columns  int
	list     func(columns int) []section // what show was last given
}

func newPainter(out io.Writer) *painter {
	return &painter{out: out, terminal: screenOf(out), colour: showsColours(out) && screenOf(out) != nil}
}

// screenOf gives the terminal behind an output, nil if there is none that can be drawn on.
func screenOf(w io.Writer) *os.File {
	if f := terminalOf(w); f != nil && os.Getenv("TERM") != "dumb" {
		return f
	}
	return nil
}

// size gives the room there is; 0 = there is no end.
func (p *painter) size() (rows, columns int) {
	if p.terminal == nil {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || rows < 1 || columns < 1 {
		rows, columns = 24, 80
	}
	if rows != p.rows || columns != p.columns {
		p.lines = nil // the terminal has moved everything
	}
	p.rows, p.columns = rows, columns
	return rows, columns
}

// show lays sections out and paints them.
func (p *painter) show(list func(columns int) []section) error {
	p.list = list
	rows, columns := p.size()
	lines := fit(list(columns), rows, columns)
	drawn := make([]string, len(lines))
	for i, l := range lines {
		drawn[i] = l.draw(p.colour)
	}
	return p.paint(drawn)
}

// again paints what was last shown, all of it, for a terminal that has changed.
func (p *painter) again() error {
	if p.list == nil {
		return nil
	}
	p.lines = nil
	return p.show(p.list)
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
		fmt.Fprintf(p.out, "\x1b[%d;1H\x1b[?7h\x1b[?25h\r\n", len(p.lines))
		p.lines = nil
	}
}

// drawChanges writes what makes a terminal that shows the lines before show those now
// (ECMA-48: CUP, EL, ED). Nothing before: the screen is cleared first, the cursor hidden
// (DECTCEM), and lines that turn out to be too long do not wrap (DECAWM), as some
// characters take two columns. A line is erased before it is written: after it the cursor
// may stand on its last character.
func drawChanges(b *bytes.Buffer, before, now []string) {
	if before == nil {
		b.WriteString("\x1b[?25l\x1b[?7l\x1b[H\x1b[2J")
	}
	for i, line := range now {
		if i >= len(before) || before[i] != line {
			fmt.Fprintf(b, "\x1b[%d;1H\x1b[K%s", i+1, line)
		}
	}
	if len(now) < len(before) {
		fmt.Fprintf(b, "\x1b[%d;1H\x1b[J", len(now)+1)
	}
}
