package jsonobject

import (
	"bytes"

	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
)

// Read reads one object, whose braces [End] has found, into f, which is overwritten; reason is
// why it could not. Its members may be strings or
// numbers; deeper ones are skipped.
func Read(b []byte, c *field.Clock, f *field.Flow) (reason string) {
	*f = field.Flow{}
	p := field.Parser{Clock: c, Flow: f}
	b = b[1 : len(b)-1]
	for {
		b = space(b, ',')
		if len(b) == 0 {
			p.End()
			return ""
		}
		key, rest, ok := quoted(b)
		if !ok {
			return "a member without a name"
		}
		rest = space(rest, ' ')
		if len(rest) == 0 || rest[0] != ':' {
			return "a member without a value"
		}
		rest = space(rest[1:], ' ')
		v, rest, ok := value(rest)
		if !ok {
			return "a value that does not end"
		}
		if col, known := field.FromJSON(key); known && !p.Set(col, v) {
			return string(key) + ": " + col.Reason(v)
		}
		b = rest
	}
}

// space steps over white space and one further character.
func space(b []byte, further byte) []byte {
	for i, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != further {
			return b[i:]
		}
	}
	return nil
}

// quoted reads a string up to its closing quote. nfdump escapes nothing; what others have
// escaped stays as it is.
func quoted(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], b[i+1:], true
		}
	}
	return nil, nil, false
}

// value reads a string, a number or word, or steps over an object or array, which gives nothing.
func value(b []byte) (v, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	switch b[0] {
	case '"':
		return quoted(b)
	case '{', '[':
		n, ended := End(b)
		if !ended {
			return nil, nil, false
		}
		return nil, b[n:], true
	}
	n := 0
	for n < len(b) && b[n] != ',' && b[n] != '\n' {
		n++
	}
	return bytes.TrimSpace(b[:n]), b[n:], true
}

// End finds the end of the object or array that b begins with: the number of bytes up to
// and including its bracket. Brackets in strings do not count.
func End(b []byte) (n int, ended bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b[i+1:])
			if end < 0 {
				return 0, false
			}
			i += end + 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return 0, false
}

// stringEnd finds the closing quote; -1 = it is not in b.
func stringEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return -1
		}
		at += i
		escapes := 0
		for at-escapes > 0 && b[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
		at++
	}
}
