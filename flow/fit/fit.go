// Package fit makes text from outside fit into one line of bounded length: it cuts to a
// limit, escapes, or removes what would control a terminal. It holds no state, and allocates
// nothing but room in the destination. The decoders of feeds, the event codec and every form
// of event use it; a new rule of cutting or escaping that more than one of them needs
// belongs here.
package fit

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ellipsis marks a text that was cut.
const Ellipsis = "…"

// Cut gives the first n bytes of s at most, and never half a character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// AppendName appends s as a name made of letters, digits, dots, underscores and
// hyphens, with "_" for everything else, at most limit bytes. OSSEC takes values by
// regular expressions that stop at a backslash, so names must not need one.
func AppendName(dst []byte, s string, limit int) []byte {
	for i := range min(len(s), limit) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendJSON appends s, escaped for the inside of a JSON string, in at most limit
// bytes; a longer text ends in an ellipsis, never within an escape.
func AppendJSON(dst []byte, s string, limit int) []byte {
	if len(s) <= limit && isPlain(s) { // nearly every text
		return append(dst, s...)
	}
	return AppendCut(dst, s, limit, appendEscaped)
}

// isPlain reports whether s is printable ASCII that JSON needs no escape for.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// AppendCut appends s, every rune as escape writes it, in at most limit bytes; a
// longer text ends in an ellipsis, never within an escape.
func AppendCut(dst []byte, s string, limit int, escape func([]byte, rune) []byte) []byte {
	start, cut := len(dst), len(dst)
	for _, r := range s { // invalid bytes come as U+FFFD
		dst = escape(dst, r)
		switch n := len(dst) - start; {
		case n > limit:
			return append(dst[:cut], Ellipsis...)
		case n <= limit-len(Ellipsis):
			cut = len(dst)
		}
	}
	return dst
}

// appendEscaped appends one rune. Whatever has no glyph is escaped: raw newlines
// and U+2028 would break the line for some readers, control and bidirectional
// characters would deceive whoever looks at it in a terminal. NUL has no safe
// form, several JSON readers end the string there.
func appendEscaped(dst []byte, r rune) []byte {
	switch {
	case r == '"', r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r == 0:
		return utf8.AppendRune(dst, utf8.RuneError)
	case unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		r -= 0x10000
		return appendUnit(appendUnit(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(dst, r)
}

// appendUnit appends a UTF-16 unit as \uXXXX.
func appendUnit(dst []byte, u rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}

// AppendPlain appends s for a terminal, at most limit bytes and an ellipsis:
// escape sequences and characters without a glyph are left out, white space of
// every kind is one blank.
func AppendPlain(dst []byte, s string, limit int) []byte {
	end := len(dst) + limit
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\x1b':
			n = escapeLen(s)
		case unicode.IsSpace(r):
			r = ' '
			fallthrough
		case unicode.IsPrint(r):
			if len(dst)+utf8.RuneLen(r) > end {
				return append(dst, Ellipsis...)
			}
			dst = utf8.AppendRune(dst, r)
		}
		s = s[n:]
	}
	return dst
}

// Cell gives s as a cell of a table that a spreadsheet may open: a text that it would take for
// a formula gets an apostrophe in front (CWE-1236). Blanks and quotation marks before the sign
// do not hide it, as some programs drop them. What else a cell needs, such as quotes, is up to
// the writer of the table.
func Cell(s string) string {
	if s != "" && strings.IndexByte("\t\r\n", s[0]) >= 0 {
		return "'" + s
	}
	sign, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \t\r\n\u00a0\u3000\ufeff\"'"))
	if strings.ContainsRune("=+-@＝＋－＠", sign) {
		return "'" + s
	}
	return s
}

// escapeLen gives the length of the terminal escape sequence (ECMA-48) that s
// begins with: a control sequence ends with its final byte, a control string with
// BEL or ESC \, any other with the character after its intermediate bytes. An unended
// one takes the rest.
func escapeLen(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1
			}
			if s[i] == '\x1b' && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	final := 1
	for final < len(s) && s[final] >= 0x20 && s[final] <= 0x2f {
		final++ // intermediate bytes, as in ESC ( B
	}
	_, n := utf8.DecodeRuneInString(s[final:])
	return final + n
}
