package document

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// MaxLineChars is the longest line that is read; a longer one is rejected alone.
const MaxLineChars = 65536

// Space is what is trimmed and what separates fields.
const Space = prefix.Space

var ErrLongLine = errors.New("line longer than 65,536 characters")

// A LineReader splits text at LF, CRLF and lone CR. It holds one line in memory,
// or the start of one that is too long.
type LineReader struct {
	r          io.Reader
	buf        []byte
	start, end int // what of buf is not consumed
	lf         int // the next LF in buf, or end
	skipLF     bool
	err        error
	long       []byte // a line that did not fit into buf as a whole
	overlong   bool
}

// NewLineReader splits what r gives.
func NewLineReader(r io.Reader) *LineReader {
	return &LineReader{r: r, buf: make([]byte, headBytes)}
}

// Next gives the next line without its end; tooLong means that it is longer than
// allowed and only its start is given. The error is io.EOF after the last line.
func (l *LineReader) Next() (line string, tooLong bool, err error) {
	l.long, l.overlong = l.long[:0], false
	for {
		if l.skipLF && l.start < l.end {
			l.skipLF = false
			if l.buf[l.start] == '\n' {
				l.start++
			}
		}
		if i := l.lineEnd(); i >= 0 {
			l.skipLF = l.buf[i] == '\r'
			line, tooLong = l.take(i)
			l.start = i + 1
			return line, tooLong, nil
		}
		l.keep()
		if l.err != nil {
			if len(l.long) == 0 {
				return "", false, l.err
			}
			line, tooLong = l.take(l.end)
			return line, tooLong, nil
		}
		l.fill()
	}
}

// lineEnd finds the first line end in what is left of the buffer. The position
// of the next LF is remembered, so that text with lone CR costs no more.
func (l *LineReader) lineEnd() int {
	if l.lf < l.start {
		l.findLF()
	}
	if i := bytes.IndexByte(l.buf[l.start:l.lf], '\r'); i >= 0 {
		return l.start + i
	}
	if l.lf < l.end {
		return l.lf
	}
	return -1
}

func (l *LineReader) findLF() {
	l.lf = l.end
	if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
		l.lf = l.start + i
	}
}

// take makes the line that ends before position i.
func (l *LineReader) take(i int) (string, bool) {
	line := l.buf[l.start:i]
	if len(l.long) > 0 {
		l.long = append(l.long, line...)
		line = l.long
	}
	if l.overlong || len(line) > MaxLineChars && utf8.RuneCount(line) > MaxLineChars {
		return string(line[:min(len(line), 2*MaxSampleBytes)]), true
	}
	return string(line), false
}

// keep moves an unfinished line out of the buffer.
func (l *LineReader) keep() {
	if len(l.long)+l.end-l.start > MaxLineChars*utf8.UTFMax {
		l.overlong = true
	}
	if !l.overlong {
		l.long = append(l.long, l.buf[l.start:l.end]...)
	}
	l.start = l.end
}

func (l *LineReader) fill() {
	n, err := l.r.Read(l.buf)
	l.start, l.end, l.err = 0, n, err
	l.findLF()
}

// MaxShared is the longest row whose memory entries may share.
const MaxShared = 2 * MaxDescription

// A RowFunc takes one line. It returns ErrStop to end the document early.
type RowFunc func(line string) error

var ErrStop = errors.New("end of list")

// EachLine runs row over every line of the document. Lines that are too long are
// rejected alone.
func (d *Document) EachLine(src io.Reader, row RowFunc) error {
	lines := NewLineReader(src)
	for {
		line, tooLong, err := lines.Next()
		if err != nil {
			return EOFIsNil(err)
		}
		d.Line++
		if tooLong {
			d.Reject(line, ErrLongLine)
			continue
		}
		d.LongRow = len(line) > MaxShared
		if err := row(line); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
}

// EOFIsNil takes the end of the text for what it is: no error.
func EOFIsNil(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Comment reports whether a trimmed line is blank or a comment, which it counts, and
// from which it takes the time of the data.
// The marks are the starts of comment lines in the format.
func (d *Document) Comment(line string, marks ...string) bool {
	if line == "" {
		return true
	}
	for _, m := range marks {
		if strings.HasPrefix(line, m) {
			d.Report.Comments++
			d.Dated(dates.InComment(headerText(line)))
			return true
		}
	}
	return false
}

// Trim removes ASCII white space at both ends.
func Trim(s string) string {
	for len(s) > 0 && IsSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && IsSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// TrimLeft removes ASCII white space at the start.
func TrimLeft(s string) string { return s[prefix.Span(s, IsSpace):] }

// IsSpace recognises the characters of Space.
func IsSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// Unquote removes one pair of quotes.
func Unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}
