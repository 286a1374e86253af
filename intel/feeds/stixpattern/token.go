package stixpattern

import (
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// A tokenKind is a kind of token of a STIX pattern.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a keyword, number or object path
	tokenString           // a quoted string, unescaped
	tokenMark             // one of [ ] ( ) , or a comparison in signs
	tokenBroken           // none of these
)

// next reads the next token.
func (p *patternParser) next() {
	p.rest = strings.TrimLeft(p.rest, prefix.Space)
	p.token = ""
	switch {
	case p.rest == "":
		p.kind = tokenEnd
	case p.rest[0] == '\'':
		p.quoted()
	case strings.IndexByte("[](),", p.rest[0]) >= 0:
		p.take(tokenMark, 1)
	case strings.IndexByte("=!<>", p.rest[0]) >= 0:
		p.take(tokenMark, len(p.rest)-len(strings.TrimLeft(p.rest, "=!<>")))
	default:
		p.word()
	}
}

func (p *patternParser) take(kind tokenKind, n int) {
	p.kind, p.token, p.rest = kind, p.rest[:n], p.rest[n:]
}

// quoted reads a string; \' and \\ are escapes.
func (p *patternParser) quoted() {
	end := closingQuote(p.rest)
	if end < 0 {
		p.kind, p.rest = tokenBroken, ""
		return
	}
	inner := p.rest[1:end]
	p.take(tokenString, end+1)
	if strings.IndexByte(inner, '\\') >= 0 {
		inner = strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(inner)
	}
	p.token = inner
}

// closingQuote finds the quote that ends the string at the start of s.
func closingQuote(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i
		}
	}
	return -1
}

// word reads a keyword, a number or an object path; parts of a path may be
// quoted ('SHA-256') or indexed ([0], [*]).
func (p *patternParser) word() {
	n, isPath := 0, false
	for n < len(p.rest) {
		c := p.rest[n]
		switch {
		case isWordByte(c):
			isPath = isPath || c == ':'
			n++
		case isPath && c == '\'' && p.rest[n-1] == '.':
			end := closingQuote(p.rest[n:])
			if end < 0 {
				p.kind, p.rest = tokenBroken, ""
				return
			}
			n += end + 1
		case isPath && c == '[':
			end := strings.IndexByte(p.rest[n:], ']')
			if end < 0 {
				p.kind, p.rest = tokenBroken, ""
				return
			}
			n += end + 1
		default:
			p.endWord(n)
			return
		}
	}
	p.endWord(n)
}

func (p *patternParser) endWord(n int) {
	if n == 0 {
		p.kind, p.rest = tokenBroken, ""
		return
	}
	p.take(tokenWord, n)
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.:+", c) >= 0
}
