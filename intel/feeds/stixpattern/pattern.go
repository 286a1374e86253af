package stixpattern

import (
	"errors"
	"strings"
)

var (
	errPattern     = errors.New("pattern is not well formed")
	errNarrow      = errors.New("pattern is narrower than a list of addresses")
	errNoAddresses = errors.New("pattern names no address")
	errProduct     = errors.New("pattern stands for more than 65,536 addresses and ports")
)

// maxPatternDepth is how deep parentheses in a pattern may be nested.
const maxPatternDepth = 32

// maxPatternProduct is how many pairs of address and port a pattern may stand for.
const maxPatternProduct = 65536

// An Address is an address that a pattern compares with, as it is written, and
// the port that goes with it; 0 = any.
type Address struct {
	Value string
	Port  uint16
}

// A Name is a domain name, or a URL, that a pattern compares with, as it is written.
type Name struct {
	Value string
	OfURL bool
}

// Read reads a STIX pattern (STIX 2.1 section 9) and gives the addresses
// and, in the same way, the names that it stands for: comparisons by =, IN and ISSUBSET, joined by OR. By AND an
// address may have its type beside it (network-traffic:dst_ref.type = 'ipv4-addr'),
// which adds nothing, and a port of the same end. A pattern with any other AND,
// NOT, other comparisons, FOLLOWEDBY or a qualifier means less than "any of these
// addresses" and gives errNarrow. One without an address is an error, beside its names.
func Read(pattern string) ([]Address, []Name, error) {
	p := patternParser{rest: pattern}
	p.next()
	if err := p.observations(0); err != nil {
		return nil, nil, err
	}
	if p.kind != tokenEnd {
		return nil, nil, p.unexpected()
	}
	if len(p.found) == 0 {
		return nil, p.names, errNoAddresses
	}
	return p.found, p.names, nil
}

// A patternParser holds the token it stands at and the text behind it.
type patternParser struct {
	rest  string
	kind  tokenKind
	token string
	found []Address // of the observations so far
	names []Name
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
		return p.group("]", depth, func(depth int) error {
			t, err := p.comparisons(depth)
			p.found, p.names = append(p.found, t.addresses...), append(p.names, t.names...)
			return err
		})
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

// comparisons reads terms joined by OR.
func (p *patternParser) comparisons(depth int) (patternTerm, error) {
	var all patternTerm
	for {
		t, err := p.conjunction(depth)
		if err != nil {
			return all, err
		}
		all.or(t)
		if !p.is(tokenWord, "OR") {
			return all, nil
		}
		p.next()
	}
}

// conjunction reads comparisons, or groups of them, joined by AND, which binds closer.
func (p *patternParser) conjunction(depth int) (patternTerm, error) {
	var terms []patternTerm
	for {
		var t patternTerm
		var err error
		if p.is(tokenMark, "(") {
			err = p.group(")", depth, func(depth int) (err error) {
				t, err = p.comparisons(depth)
				return err
			})
		} else {
			t, err = p.comparison()
		}
		if err != nil {
			return t, err
		}
		terms = append(terms, t)
		if !p.is(tokenWord, "AND") {
			break
		}
		p.next()
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return conjunctionOf(terms)
}

// comparison: path = 'x', path IN ('x', 'y'), path ISSUBSET 'x'.
func (p *patternParser) comparison() (patternTerm, error) {
	path := p.token
	if p.kind != tokenWord || strings.IndexByte(path, ':') <= 0 {
		return patternTerm{}, p.unexpected()
	}
	p.next()
	var values []string
	var err error
	switch {
	case p.is(tokenMark, "="), p.is(tokenMark, "=="), p.is(tokenWord, "ISSUBSET"):
		p.next()
		values, err = p.value(nil)
	case p.is(tokenWord, "IN"):
		p.next()
		values, err = p.list()
	default:
		err = p.unexpected()
	}
	if err != nil {
		return patternTerm{}, err
	}
	return termOf(path, values)
}

// list reads ('a', 'b').
func (p *patternParser) list() (values []string, err error) {
	if !p.is(tokenMark, "(") {
		return nil, p.unexpected()
	}
	for {
		p.next()
		if values, err = p.value(values); err != nil {
			return nil, err
		}
		if p.is(tokenMark, ")") {
			p.next()
			return values, nil
		}
		if !p.is(tokenMark, ",") {
			return nil, p.unexpected()
		}
	}
}

// value appends a literal: a string, or a number, boolean, time or bytes, which are
// words to us (the last two with a string behind the letter).
func (p *patternParser) value(values []string) ([]string, error) {
	switch p.kind {
	case tokenString:
		values = append(values, p.token)
		p.next()
		return values, nil
	case tokenWord:
		values = append(values, p.token)
		typed := p.token == "t" || p.token == "h" || p.token == "b"
		p.next()
		if typed && p.kind == tokenString {
			p.next()
		}
		return values, nil
	}
	return nil, p.unexpected()
}

func (p *patternParser) is(kind tokenKind, token string) bool {
	return p.kind == kind && p.token == token
}

// unexpected distinguishes what a list cannot express from what is malformed.
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
