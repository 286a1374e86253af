// Package columns lays out text for terminals and mails: paragraphs are broken into lines that
// are not too wide, and cells of tables are cut or filled up. It counts columns as a terminal
// does, so that wide signs take two and accents none.
package columns

import (
	"bufio"
	"io"
	"iter"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// Width is the width of a text.
const Width = 80

// A Text breaks lines.
type Text struct{ W *bufio.Writer }

// New makes a text that is written to w; flush W at the end.
func New(w io.Writer) *Text { return &Text{bufio.NewWriter(w)} }

// Line writes a text of one paragraph, indented, what continues it two columns more. A word
// that is longer than a line is broken. An empty text has no line.
func (t *Text) Line(indent int, s string) {
	if s == "" {
		return
	}
	pad := strings.Repeat(" ", indent)
	column := 0
	for _, word := range strings.Fields(s) {
		for part := range pieces(word, Width-indent-2) {
			n := Of(part)
			switch {
			case column == 0:
				t.W.WriteString(pad + part)
				column = indent + n
			case column+1+n > Width:
				t.W.WriteString("\n" + pad + "  " + part)
				column = indent + 2 + n
			default:
				t.W.WriteString(" " + part)
				column += 1 + n
			}
		}
	}
	t.W.WriteString("\n")
}

// pieces gives the parts of a word that have so many columns at most.
func pieces(word string, most int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for Of(word) > most {
			part := Cut(word, most)
			if !yield(part) {
				return
			}
			word = word[len(part):]
		}
		yield(word)
	}
}

// Of is how many columns a terminal takes for a text.
func Of(s string) (n int) {
	for _, r := range s {
		n += ofRune(r)
	}
	return n
}

func ofRune(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut gives the beginning of a text that has so many columns at most.
func Cut(s string, most int) string {
	for i, r := range s {
		if most -= ofRune(r); most < 0 {
			return s[:i]
		}
	}
	return s
}

// Cell gives a text with so many columns, shortened or filled up.
func Cell(s string, columns int) string {
	if Of(s) > columns {
		s = Cut(s, columns-1) + fit.Ellipsis
	}
	return s + strings.Repeat(" ", columns-Of(s))
}
