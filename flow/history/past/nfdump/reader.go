package nfdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/csvtable"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/jsonobject"
)

// maxRow is the longest row in bytes. The longest that nfdump prints is below 8 KB.
const maxRow = 64 << 10

// A Reader gives the flows of one input. It belongs to one goroutine, and its memory does not
// depend on the size of the input.
type Reader struct {
	in     io.Reader
	buffer []byte // what was read and not yet taken
	room   []byte
	err    error // of in; io.EOF at its end
	line   int   // of the beginning of buffer, from 1
	clock  field.Clock
	json   bool
	csv    csvtable.Table
	report Report
}

// A FormatError is that of an input which is no output of nfdump that could be imported.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return e.Reason }

// NewReader reads the beginning of an input. zone is the time zone in which nfdump ran. The
// error is a [*FormatError] or that of in.
func NewReader(in io.Reader, zone *time.Location) (*Reader, error) {
	r := &Reader{in: in, room: make([]byte, 4*maxRow), line: 1, clock: field.Clock{Zone: zone}}
	r.csv.Clock = &r.clock
	r.more()
	r.buffer = bytes.TrimPrefix(r.buffer, []byte("\xef\xbb\xbf"))
	for r.blank() {
	}
	if len(r.buffer) == 0 {
		if errors.Is(r.err, io.EOF) {
			return nil, &FormatError{"it is empty"}
		}
		return nil, r.err
	}
	if c := r.buffer[0]; c == '[' || c == '{' {
		r.json, r.report.Form = true, JSON
		return r, nil
	}
	return r, r.begin()
}

// blank steps over white space at the beginning, and reads on if nothing else is there.
func (r *Reader) blank() bool {
	rest := bytes.TrimLeft(r.buffer, " \t\r\n")
	r.take(len(r.buffer) - len(rest))
	return len(rest) == 0 && r.more()
}

// begin reads the first line of csv, or finds that it was left out.
func (r *Reader) begin() error {
	for len(r.buffer) <= maxRow && bytes.IndexByte(r.buffer, '\n') < 0 && r.more() {
	}
	line, _, _ := bytes.Cut(r.buffer[:min(len(r.buffer), maxRow)], []byte{'\n'})
	line = bytes.TrimRight(line, "\r")
	switch {
	case csvtable.IsHeader(line):
		r.report.Form = CSV
		if bytes.HasPrefix(line, []byte("ts,")) {
			r.report.Form = LegacyCSV
		}
		if why := r.csv.Header(line); why != "" {
			return &FormatError{"csv of nfdump, but " + why}
		}
		r.nextLine()
	case bytes.Count(line, []byte{','}) == bytes.Count([]byte(csvtable.Legacy), []byte{','}):
		r.report.Form = LegacyCSV
		r.csv.Header([]byte(csvtable.Legacy))
	case bytes.HasPrefix(line, []byte("Date first seen")) || bytes.HasPrefix(line, []byte("Flow Record")):
		return &FormatError{"text of nfdump for people; print it with -o csv or -o json"}
	case bytes.Count(line, []byte{'|'}) > 10:
		return &FormatError{"the pipe format of nfdump; print it with -o csv or -o json"}
	default:
		return &FormatError{fmt.Sprintf("neither a capture nor csv or json of nfdump; it begins with %q", field.Printable(line[:min(len(line), 40)], 40))}
	}
	return nil
}

// Report is what was read so far.
func (r *Reader) Report() Report {
	s := r.report
	s.Lines = r.line - 1
	return s
}

// Next gives the next flow that could be read; io.EOF at the end. f is overwritten.
func (r *Reader) Next(f *field.Flow) error {
	for {
		next := r.nextRow
		if r.json {
			next = r.nextObject
		}
		row, at, reason := next()
		if row == nil && reason == "" {
			if errors.Is(r.err, io.EOF) {
				return io.EOF
			}
			return r.err
		}
		switch {
		case reason != "":
		case r.json:
			reason = jsonobject.Read(row, &r.clock, f)
		default:
			reason = r.csv.Row(row, f)
		}
		if reason == "" {
			reason = complete(f, &r.report)
		}
		if reason == "" {
			r.report.Rows++
			return nil
		}
		r.report.bad(at, row, reason)
	}
}

// nextRow gives the next line of csv that is a row, and its number; nil at the end. With a
// reason it cannot be read.
func (r *Reader) nextRow() (row []byte, at int, reason string) {
	for {
		at = r.line
		line, whole := r.nextLine()
		switch {
		case line == nil:
			return nil, at, ""
		case !whole:
			return line, at, "longer than 64 KB; nfdump 1.7.0 prints csv without line breaks, so use -o json there"
		case len(line) == 0 || bytes.Equal(line, []byte("No matching flows")):
		case bytes.Equal(line, []byte("Summary")):
			r.csv.Skip = true
		case csvtable.IsHeader(line):
			if why := r.csv.Header(line); why != "" {
				return line, at, why
			}
		case !r.csv.Skip:
			return line, at, ""
		}
	}
}

// nextLine takes a line, without its end; nil at the end of the input. Of one that is longer
// than a row may be, whole is false and its beginning is given.
func (r *Reader) nextLine() (line []byte, whole bool) {
	for {
		if n := bytes.IndexByte(r.buffer, '\n'); n >= 0 {
			line = r.buffer[:n]
			r.take(n + 1)
			return bytes.TrimSuffix(line, []byte{'\r'}), n <= maxRow
		}
		if len(r.buffer) > maxRow {
			return r.skipLine(), false
		}
		if !r.more() {
			break
		}
	}
	line = r.buffer
	r.take(len(line))
	if len(line) == 0 {
		return nil, false
	}
	r.line++ // it has no end, and is one
	return line, true
}

// skipLine steps over a line and gives a copy of its beginning.
func (r *Reader) skipLine() []byte {
	beginning := bytes.Clone(r.buffer[:sampleText+1])
	for {
		if n := bytes.IndexByte(r.buffer, '\n'); n >= 0 {
			r.take(n + 1)
			return beginning
		}
		r.take(len(r.buffer))
		if !r.more() {
			return beginning
		}
	}
}

// nextObject takes the next object of JSON, with the line of its beginning; nil at the end.
func (r *Reader) nextObject() (row []byte, line int, reason string) {
	for {
		at := bytes.IndexByte(r.buffer, '{')
		if at < 0 {
			r.take(len(r.buffer))
			if !r.more() {
				return nil, r.line, ""
			}
			continue
		}
		r.take(at)
		line = r.line
		for {
			n, ended := jsonobject.End(r.buffer)
			if ended && n <= maxRow {
				row = r.buffer[:n]
				r.take(n)
				return row, line, ""
			}
			if len(r.buffer) > maxRow || !r.more() {
				return r.skipObject(), line, "an object that does not end"
			}
		}
	}
}

// skipObject steps over an object that does not end, to the next line that begins one.
func (r *Reader) skipObject() []byte {
	row := bytes.Clone(r.buffer[:min(len(r.buffer), sampleText+1)])
	for at := 1; at < len(r.buffer); {
		n := bytes.IndexByte(r.buffer[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
		if rest := bytes.TrimLeft(r.buffer[at:], " \t"); len(rest) > 0 && rest[0] == '{' {
			r.take(at)
			return row
		}
	}
	r.take(len(r.buffer))
	return row
}

// take removes the first n bytes of the buffer.
func (r *Reader) take(n int) {
	r.line += bytes.Count(r.buffer[:n], []byte{'\n'})
	r.buffer = r.buffer[n:]
}

// more reads on behind the buffer, which is moved; false at the end of the input or when the
// buffer is full.
func (r *Reader) more() bool {
	if r.err != nil {
		return false
	}
	n := copy(r.room, r.buffer)
	r.buffer = r.room[:n]
	for tries := 0; n < len(r.room); tries++ {
		k, err := r.in.Read(r.room[n:])
		r.buffer = r.room[:n+k]
		if err != nil {
			r.err = err
		}
		if k > 0 || err != nil {
			return k > 0
		}
		if tries == 100 {
			r.err = io.ErrNoProgress
			return false
		}
	}
	return false
}
