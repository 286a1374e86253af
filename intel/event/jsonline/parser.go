package jsonline

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// Bounds of a document that is read.
const (
	// maxDepth is how deep objects and arrays may stand in each other, maxKeys how many
	// keys one object may have.
	maxDepth = 16
	maxKeys  = 256
)

// An Error is what is wrong with a document.
type Error struct {
	Offset int    // in bytes from the beginning of the document
	Key    string // that was being read; empty outside of all
	Reason string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
	}
	return fmt.Sprintf("key %q: %s at byte %d", e.Key, e.Reason, e.Offset)
}

// A Parser reads one JSON document (RFC 8259), value by value. After the first error
// everything that it gives is zero. encoding/json cannot do this: it takes keys that stand
// there twice, knows no bounds, keeps no unknown keys beside known ones, and has no offsets
// of wrong values.
type Parser struct {
	b     []byte
	at    int
	depth int
	key   string // that is being read
	err   *Error
}

// Parse begins to read a document. Nothing that is read of it shares memory with b.
func Parse(b []byte) Parser { return Parser{b: b} }

// Err is the first error; nil = none.
func (p *Parser) Err() *Error { return p.err }

// Next passes white space and gives the offset of what comes then.
func (p *Parser) Next() int {
	p.peek()
	return p.at
}

// End fails unless the document ends here.
func (p *Parser) End() {
	if p.Next() < len(p.b) {
		p.Fail(p.at, "more behind the end")
	}
}

// Fail notes the first error, at an offset.
func (p *Parser) Fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = &Error{at, p.key, fmt.Sprintf(format, args...)}
	}
}

// peek passes white space and gives the next byte; 0 at the end and after an error.
func (p *Parser) peek() byte {
	for p.err == nil && p.at < len(p.b) {
		switch c := p.b[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// take passes the byte c where it comes next.
func (p *Parser) take(c byte) bool {
	if p.peek() != c || c == 0 || p.err != nil {
		return false
	}
	p.at++
	return true
}

// expect passes the byte c, which has to come next.
func (p *Parser) expect(c byte, of string) bool {
	if p.take(c) {
		return true
	}
	if p.at >= len(p.b) {
		p.Fail(p.at, "it breaks off")
	} else {
		p.Fail(p.at, "%q instead of %s", p.b[p.at], of)
	}
	return false
}

// Object reads an object. known reads the value of a key, or reports false and reads
// nothing: then key and value go to unknown, which separates them by commas: numbers and
// escapes as they are, without white space, and safe to print.
func (p *Parser) Object(unknown *[]byte, known func(key string) bool) {
	var keys []string
	outer := p.key
	p.each('{', '}', func() {
		p.peek()
		begin := p.at
		key := p.Text()
		end := p.at
		if p.err != nil {
			return
		}
		p.key = key
		switch {
		case slices.Contains(keys, key):
			p.Fail(begin, "it stands there twice")
		case len(keys) == maxKeys:
			p.Fail(begin, "more than %d keys", maxKeys)
		}
		keys = append(keys, key)
		if p.expect(':', "a colon") && !known(key) {
			if len(*unknown) > 0 {
				*unknown = append(*unknown, ',')
			}
			*unknown = append(appendRawText(append(*unknown, '"'), p.b[begin+1:end-1]), '"', ':')
			*unknown = p.raw(*unknown)
		}
		p.key = outer
	})
}

// Array reads an array, each element by element.
func (p *Parser) Array(element func()) { p.each('[', ']', element) }

// each reads what stands between two brackets, each element by element.
func (p *Parser) each(open, end byte, element func()) {
	of := "an array"
	if open == '{' {
		of = "an object"
	}
	if !p.expect(open, of) {
		return
	}
	if p.depth++; p.depth > maxDepth {
		p.Fail(p.at-1, "more than %d objects and arrays in each other", maxDepth)
		return
	}
	if !p.take(end) {
		for more := true; more; more = p.take(',') {
			if element(); p.err != nil {
				return
			}
		}
		p.expect(end, "a comma or the end")
	}
	p.depth--
}

// quoted passes a string and gives what stands between its quotes. plain reports that
// this is ASCII without escapes.
func (p *Parser) quoted() (s []byte, plain bool) {
	if !p.expect('"', "a text") {
		return nil, false
	}
	begin := p.at
	plain = true
	for p.at < len(p.b) {
		switch c := p.b[p.at]; {
		case c == '"':
			p.at++
			return p.b[begin : p.at-1], plain
		case c == '\\':
			n := escapeLength(p.b[p.at:])
			if n == 0 {
				p.Fail(p.at, "an escape that JSON does not have")
				return nil, false
			}
			p.at += n
			plain = false
		case c < ' ':
			p.Fail(p.at, "control character %#02x in a text", c)
			return nil, false
		default:
			plain = plain && c < utf8.RuneSelf
			p.at++
		}
	}
	p.Fail(p.at, "a text breaks off")
	return nil, false
}

// escapeLength gives the length of the escape that b begins with; 0 = none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := unit(b); ok {
			return 6
		}
	}
	return 0
}

// unit gives the UTF-16 unit of an escape of the form \uXXXX.
func unit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Text reads a string. Bytes that are not UTF-8 and halves of a surrogate pair become
// U+FFFD, as encoding/json has it.
func (p *Parser) Text() string {
	s, plain := p.quoted()
	if plain {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		if s[0] != '\\' {
			r, n := utf8.DecodeRune(s)
			out, s = utf8.AppendRune(out, r), s[n:]
			continue
		}
		if r, ok := unit(s); ok {
			s = s[6:]
			if utf16.IsSurrogate(r) {
				low, _ := unit(s)
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					s = s[6:]
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		c := s[1]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		}
		out, s = append(out, c), s[2:]
	}
	return string(out)
}

// number passes a number and gives its text.
func (p *Parser) number() []byte {
	p.peek()
	begin := p.at
	digits := func() (n int) {
		for p.at < len(p.b) && '0' <= p.b[p.at] && p.b[p.at] <= '9' {
			p.at, n = p.at+1, n+1
		}
		return n
	}
	one := func(of string) bool {
		if p.at < len(p.b) && slices.Contains([]byte(of), p.b[p.at]) {
			p.at++
			return true
		}
		return false
	}
	one("-")
	leading := p.at
	ok := digits() > 0 && (p.b[leading] != '0' || p.at == leading+1)
	if ok && one(".") {
		ok = digits() > 0
	}
	if ok && one("eE") {
		one("+-")
		ok = digits() > 0
	}
	if !ok {
		p.Fail(begin, "not a number")
		return nil
	}
	return p.b[begin:p.at]
}

// Whole reads a number without sign, fraction and exponent.
func (p *Parser) Whole(most uint64) uint64 {
	p.peek()
	begin := p.at
	s := p.number()
	if p.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil || n > most {
		p.Fail(begin, "%s is not a whole number from 0 to %d", s, most)
		return 0
	}
	return n
}

// Decimal reads a number from 0 to [MaxDecimal].
func (p *Parser) Decimal() float64 {
	p.peek()
	begin := p.at
	s := p.number()
	if p.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !(f >= 0 && f <= MaxDecimal) {
		p.Fail(begin, "%.32s is not a number from 0 to %d", s, int(MaxDecimal))
		return 0
	}
	return f
}

// word passes true, false or null.
func (p *Parser) word() string {
	p.peek()
	for _, w := range [...]string{"true", "false", "null"} {
		if len(p.b)-p.at >= len(w) && string(p.b[p.at:p.at+len(w)]) == w {
			p.at += len(w)
			return w
		}
	}
	p.Fail(p.at, "not a value")
	return ""
}

// Bool reads true or false.
func (p *Parser) Bool() bool {
	begin := p.at
	w := p.word()
	if w == "null" {
		p.Fail(begin, "null instead of true or false")
	}
	return w == "true"
}

// raw reads any value and appends it without white space: numbers and escapes as they
// are; characters without a glyph are escaped, so that it stays one line that no
// terminal obeys.
func (p *Parser) raw(dst []byte) []byte {
	switch c := p.peek(); {
	case c == '{':
		dst = append(dst, '{')
		first := len(dst)
		p.each('{', '}', func() {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			if dst = p.rawText(dst); p.expect(':', "a colon") {
				dst = p.raw(append(dst, ':'))
			}
		})
		return append(dst, '}')
	case c == '[':
		dst = append(dst, '[')
		first := len(dst)
		p.each('[', ']', func() {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			dst = p.raw(dst)
		})
		return append(dst, ']')
	case c == '"':
		return p.rawText(dst)
	case c == '-' || '0' <= c && c <= '9':
		return append(dst, p.number()...)
	}
	return append(dst, p.word()...)
}

// rawText reads a string and appends it with its quotes.
func (p *Parser) rawText(dst []byte) []byte {
	s, _ := p.quoted()
	return append(appendRawText(append(dst, '"'), s), '"')
}

// appendRawText appends what stands between the quotes of a string.
func appendRawText(dst, s []byte) []byte {
	for len(s) > 0 {
		if s[0] == '\\' {
			n := escapeLength(s)
			dst, s = append(dst, s[:n]...), s[n:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		if unicode.IsPrint(r) {
			dst = utf8.AppendRune(dst, r)
		} else {
			dst = fit.AppendJSON(dst, string(r), math.MaxInt)
		}
		s = s[n:]
	}
	return dst
}
