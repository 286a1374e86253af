package feeds

import (
	"errors"
	"strings"
)

var (
	errPattern = errors.New("pattern is not well formed")
	errNarrow  = errors.New("pattern says more than a list of addresses")
)

// maxPatternDepth is how deep parentheses in a pattern may be nested.
const maxPatternDepth = 32

// patternAddresses reads a STIX pattern (STIX 2.1 section 9) and gives the values
// that it compares ipv4-addr:value and ipv6-addr:value with. Only comparisons by
// =, IN and ISSUBSET that are joined by OR are understood: a pattern with AND,
// NOT, other comparisons, FOLLOWEDBY or a qualifier says less than "any of these
// addresses" and gives errNarrow.
func patternAddresses(pattern string) ([]string, error) {
	p := patternParser{rest: pattern}
	p.next()
	if err := p.observations(0); err != nil {
		return nil, err
	}
	if p.kind != tokenEnd {
		return nil, p.unexpected()
	}
	if len(p.values) == 0 {
		return nil, errNoAddresses
	}
	return p.values, nil
}

// A patternParser holds the token it stands at and the text behind it.
type patternParser struct {
	rest   string
	kind   tokenKind
	token  string
	values []string
}

// observations: [..] or (..), joined by OR.
func (p *patternParser) observations(depth int) error {
	for {
		if err := p.observation(depth); err != nil {
			return err
		}
		if !p.is(tokenWord, "OR") {
			return nil
		}
		p.next()
	}
}

func (p *patternParser) observation(depth int) error {
	switch {
	case p.is(tokenMark, "["):
		return p.group("]", depth, p.comparisons)
	case p.is(tokenMark, "("):
		return p.group(")", depth, p.observations)
	}
	return p.unexpected()
}

// group reads what stands between the mark at hand and the closing one.
func (p *patternParser) group(closing string, depth int, inner func(int) error) error {
	if depth == maxPatternDepth {
		return errPattern
	}
	p.next()
	if err := inner(depth + 1); err != nil {
		return err
	}
	if !p.is(tokenMark, closing) {
		return p.unexpected()
	}
	p.next()
	return nil
}

// comparisons: path = 'x', path IN ('x', 'y'), path ISSUBSET 'x' or a group of
// them, joined by OR.
func (p *patternParser) comparisons(depth int) error {
	for {
		var err error
		if p.is(tokenMark, "(") {
			err = p.group(")", depth, p.comparisons)
		} else {
			err = p.comparison()
		}
		if err != nil {
			return err
		}
		if !p.is(tokenWord, "OR") {
			return nil
		}
		p.next()
	}
}

func (p *patternParser) comparison() error {
	path := p.token
	if p.kind != tokenWord || strings.IndexByte(path, ':') <= 0 {
		return p.unexpected()
	}
	wanted := path == "ipv4-addr:value" || path == "ipv6-addr:value"
	p.next()
	switch {
	case p.is(tokenMark, "="), p.is(tokenMark, "=="), p.is(tokenWord, "ISSUBSET"):
		p.next()
		return p.value(wanted)
	case p.is(tokenWord, "IN"):
		p.next()
		return p.list(wanted)
	}
	return p.unexpected()
}

// list reads ('a', 'b').
func (p *patternParser) list(wanted bool) error {
	if !p.is(tokenMark, "(") {
		return p.unexpected()
	}
	for {
		p.next()
		if err := p.value(wanted); err != nil {
			return err
		}
		if p.is(tokenMark, ")") {
			p.next()
			return nil
		}
		if !p.is(tokenMark, ",") {
			return p.unexpected()
		}
	}
}

// value reads a literal: a string, or a number, boolean, time or bytes, which
// are words to us (the last two with a string behind the letter).
func (p *patternParser) value(wanted bool) error {
	switch p.kind {
	case tokenString:
		if wanted {
			p.values = append(p.values, p.token)
		}
		p.next()
		return nil
	case tokenWord:
		typed := p.token == "t" || p.token == "h" || p.token == "b"
		p.next()
		if typed && p.kind == tokenString {
			p.next()
		}
		return nil
	}
	return p.unexpected()
}

func (p *patternParser) is(kind tokenKind, token string) bool {
	return p.kind == kind && p.token == token
}

// unexpected tells what is beyond us from what is wrong.
func (p *patternParser) unexpected() error {
	switch p.kind {
	case tokenWord:
		switch p.token {
		case "AND", "NOT", "FOLLOWEDBY", "WITHIN", "REPEATS", "START", "LIKE", "MATCHES", "ISSUPERSET", "EXISTS":
			return errNarrow
		}
	case tokenMark:
		switch p.token {
		case "!=", "<>", "<", ">", "<=", ">=":
			return errNarrow
		}
	}
	return errPattern
}
