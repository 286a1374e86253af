package feeds

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLineChars is the longest line that is read; a longer one is rejected alone.
const maxLineChars = 65536

// asciiSpace is what is trimmed and what separates fields.
const asciiSpace = " \t\v\f\r\n"

var errLongLine = errors.New("line longer than 65,536 characters")

// A lineReader splits text at LF, CRLF and lone CR. It holds one line in memory,
// or the start of one that is too long.
type lineReader struct {
	r          io.Reader
	buf        []byte
	start, end int // what of buf is not consumed
	lf         int // the next LF in buf, or end
	skipLF     bool
	err        error
	long       []byte // a line that did not fit into buf as a whole
	overlong   bool
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: r, buf: make([]byte, headBytes)}
}

// next gives the next line without its end; tooLong says that it is longer than
// allowed and only its start is given. The error is io.EOF after the last line.
func (l *lineReader) next() (line string, tooLong bool, err error) {
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
func (l *lineReader) lineEnd() int {
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

func (l *lineReader) findLF() {
	l.lf = l.end
	if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
		l.lf = l.start + i
	}
}

// take makes the line that ends before position i.
func (l *lineReader) take(i int) (string, bool) {
	line := l.buf[l.start:i]
	if len(l.long) > 0 {
		l.long = append(l.long, line...)
		line = l.long
	}
	if l.overlong || len(line) > maxLineChars && utf8.RuneCount(line) > maxLineChars {
		return string(line[:min(len(line), 2*maxSampleBytes)]), true
	}
	return string(line), false
}

// keep moves an unfinished line out of the buffer.
func (l *lineReader) keep() {
	if len(l.long)+l.end-l.start > maxLineChars*utf8.UTFMax {
		l.overlong = true
	}
	if !l.overlong {
		l.long = append(l.long, l.buf[l.start:l.end]...)
	}
	l.start = l.end
}

func (l *lineReader) fill() {
	n, err := l.r.Read(l.buf)
	l.start, l.end, l.err = 0, n, err
	l.findLF()
}

// maxShared is the longest row whose memory entries may share.
const maxShared = 2 * maxDescription

// A rowFunc takes one line. It returns errStop to end the document early.
type rowFunc func(line string) error

var errStop = errors.New("end of list")

// eachLine runs row over every line of the document. Lines that are too long are
// rejected alone.
func (d *document) eachLine(src io.Reader, row rowFunc) error {
	lines := newLineReader(src)
	for {
		line, tooLong, err := lines.next()
		if err != nil {
			return eofIsNil(err)
		}
		d.line++
		if tooLong {
			d.reject(line, errLongLine)
			continue
		}
		d.longRow = len(line) > maxShared
		if err := row(line); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
}

func eofIsNil(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// comment reports whether a trimmed line is blank or a comment, which it counts, and
// from which it takes the time of the data.
// The marks are the starts of comment lines in the format.
func (d *document) comment(line string, marks ...string) bool {
	if line == "" {
		return true
	}
	for _, m := range marks {
		if strings.HasPrefix(line, m) {
			d.report.Comments++
			d.headerDate(line)
			return true
		}
	}
	return false
}

// trim removes ASCII white space at both ends.
func trim(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// trimLeft removes ASCII white space at the start.
func trimLeft(s string) string { return s[span(s, isSpace):] }

// isSpace tells the characters of asciiSpace.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
