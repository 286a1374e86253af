package rows

import (
	"cmp"
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// Limits of one CSV record that runs over several lines.
const (
	maxRecordLines = 64
	maxRecordBytes = document.MaxLineChars
)

var errOpenQuote = errors.New("quoted field does not end")

// A recordReader joins lines to CSV records (RFC 4180): a quoted field may hold
// line ends. A quote that never closes costs its own line only.
//
// encoding/csv with LazyQuotes reads the lists of the corpus alike, and not what else is
// published: a quote that never closes takes the rest of the document with it, "a" , "b" is
// one field for it, as is "a" b,c, and \" ends no field as it should.
type recordReader struct {
	d     *document.Document
	lines *document.LineReader
	comma *byte    // what separates fields; 0 = a comma
	read  int      // lines read
	queue []string // lines read ahead
}

// record gives the next line, or lines if a quote is open; comment lines come
// alone. The document's line is that of the end of the record.
func (r *recordReader) record() (string, error) {
	line, err := r.line(0)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(document.Trim(line), "#") || !openQuote(line, *r.comma) {
		r.drop(1)
		return line, nil
	}
	joined := line
	for n := 1; n < maxRecordLines && len(joined) < maxRecordBytes; n++ {
		if line, err = r.line(n); err != nil {
			break
		}
		if joined += "\n" + line; !openQuote(joined, *r.comma) {
			r.drop(n + 1)
			return joined, nil
		}
	}
	first := r.queue[0]
	r.drop(1)
	return first, errOpenQuote
}

// line gives the line n ahead. A line that is too long is rejected and blank.
func (r *recordReader) line(n int) (string, error) {
	for len(r.queue) <= n {
		line, tooLong, err := r.lines.Next()
		if err != nil {
			return "", err
		}
		r.read++
		if tooLong {
			r.d.RejectAt(r.read, line, document.ErrLongLine)
			line = ""
		}
		r.queue = append(r.queue, line)
	}
	return r.queue[n], nil
}

func (r *recordReader) drop(n int) {
	r.queue = r.queue[n:]
	r.d.Line += n
}

// openQuote reports whether a record ends inside a quoted field.
func openQuote(record string, comma byte) bool {
	_, open := splitFields(record, cmp.Or(comma, ','))
	return open
}

// SplitCSV gives the fields of a record without their quotes. White space around
// fields goes, as some feeds put a blank behind each comma. Inside quotes "" is a
// quote, and so is \" as one feed writes it.
func SplitCSV(record string) (fields []string, open bool) { return splitFields(record, ',') }

// splitFields is SplitCSV with another character for the comma.
func splitFields(record string, comma byte) (fields []string, open bool) {
	for {
		if record = strings.TrimLeft(record, " "); comma != '\t' {
			record = strings.TrimLeft(record, " \t")
		}
		if !strings.HasPrefix(record, `"`) {
			field, rest, more := strings.Cut(record, string(comma))
			fields = append(fields, document.Trim(field))
			if !more {
				return fields, false
			}
			record = rest
			continue
		}
		field, rest, closed := cutQuoted(record[1:], comma)
		fields = append(fields, field)
		if !closed {
			return fields, true
		}
		_, rest, more := strings.Cut(rest, string(comma))
		if !more {
			return fields, false
		}
		record = rest
	}
}

// cutQuoted splits a quoted field, its opening quote gone, from what follows.
func cutQuoted(s string, comma byte) (field, rest string, closed bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			b.WriteString(s)
			return b.String(), "", false
		}
		escaped := i > 0 && s[i-1] == '\\'
		after := s[i+1:]
		switch {
		case escaped && strings.HasPrefix(after, `"`) && endsField(after[1:], comma):
			b.WriteString(s[:i-1] + `"`) // \" and then the closing quote
			return b.String(), after[1:], true
		case escaped && !endsField(after, comma):
			b.WriteString(s[:i-1] + `"`)
			s = after
		case strings.HasPrefix(after, `"`):
			b.WriteString(s[:i+1])
			s = after[1:]
		default:
			b.WriteString(s[:i])
			if !endsField(after, comma) { // words behind the quote belong to the field
				n := prefix.Span(after, func(c byte) bool { return c != comma })
				b.WriteString(after[:n])
				after = after[n:]
			}
			return b.String(), after, true
		}
	}
}

// endsField reports whether what follows a quote ends its field.
func endsField(s string, comma byte) bool {
	if s = strings.TrimLeft(s, " "); comma != '\t' {
		s = strings.TrimLeft(s, " \t")
	}
	return s == "" || s[0] == comma
}
