package rule

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// The limits of a file.
const (
	maxFile     = 1 << 20
	maxDocument = 64 << 10 // of one rule
	maxNesting  = 16
	maxRules    = 1000
)

// Read reads the rules of a file, whose name is for errors. It gives the good ones, and for
// each bad one the error, of type *[Error]: one bad rule does not stop the others. References
// between rules are checked by [Check], because they may be in different files.
func Read(file string, b []byte) (rules []*Rule, bad []error) {
	fail := func(e *Error) {
		e.File = file
		bad = append(bad, e)
	}
	if len(b) > maxFile {
		fail(&Error{Err: fmt.Errorf("file has more than %d bytes", maxFile)})
		return nil, bad
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		fail(&Error{Err: errors.New("not a text in UTF-8")})
		return nil, bad
	}
	for first, doc := range documents(b) {
		if len(rules)+len(bad) >= maxRules {
			fail(&Error{Line: first + 1, Err: fmt.Errorf("more than %d rules in one file", maxRules)})
			break
		}
		r, err := readDocument(doc)
		switch {
		case err != nil:
			if err.Line > 0 {
				err.Line += first
			} else {
				err.Line = first + 1
			}
			fail(err)
		case r != nil:
			r.File = file
			r.Line += first
			rules = append(rules, r)
		}
	}
	if len(rules)+len(bad) == 0 {
		fail(&Error{Err: errors.New("no rule in the file")})
	}
	return rules, bad
}

// documents gives the documents of a file, each with the number of lines before it. They are
// taken apart here, so that a mistake in one does not make the others unreadable. The marks
// between them become blanks, so that what is behind them keeps its place.
func documents(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		b := bytes.Clone(b)
		first, from, n := 0, 0, 0
		for at := 0; at < len(b); n++ {
			end := at + bytes.IndexByte(b[at:], '\n') + 1
			if end == at {
				end = len(b)
			}
			line := bytes.TrimRight(b[at:end], "\r\n")
			begins := bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- "))
			if begins || bytes.Equal(line, []byte("...")) {
				if !yield(first, b[from:at]) {
					return
				}
				first, from = n, at
				copy(b[at:], "   ")
			}
			at = end
		}
		yield(first, b[from:])
	}
}

// readDocument reads a document; one without content gives nil.
func readDocument(b []byte) (*Rule, *Error) {
	if len(b) > maxDocument {
		return nil, &Error{Err: fmt.Errorf("rule has more than %d bytes", maxDocument)}
	}
	if err := nesting(b); err != nil {
		return nil, err
	}
	f, err := parse(b)
	if err != nil {
		return nil, err
	}
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if err := simple(doc.Body); err != nil {
			return nil, err
		}
		return read(doc.Body)
	}
	return nil, nil
}

// nesting bounds how deep lists and blocks are in each other, before the YAML library reads
// them: it needs time that grows with the square of that.
func nesting(b []byte) *Error {
	depth, line, column, dashes := 0, 1, 0, 0
	for i, c := range b {
		column++
		switch c {
		case '\n':
			line, column, dashes = line+1, 0, 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '-', '?':
			if i+1 < len(b) && b[i+1] == ' ' {
				dashes++
			}
		case ' ':
		default:
			dashes = math.MinInt32 // not at the beginning of the line any more
		}
		if depth > maxNesting || dashes > maxNesting {
			return &Error{Line: line, Column: column, Err: fmt.Errorf("lists and blocks are more than %d deep in each other", maxNesting)}
		}
	}
	return nil
}

// parse parses YAML; the library is not trusted with every input.
func parse(b []byte) (f *ast.File, e *Error) {
	defer func() {
		if p := recover(); p != nil {
			f, e = nil, &Error{Err: errors.New("not valid YAML")}
		}
	}()
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, syntax(err)
	}
	return f, nil
}

// simple refuses what YAML has beside values, lists and blocks.
func simple(n ast.Node) *Error {
	v := &visitor{}
	ast.Walk(v, n)
	return v.err
}

type visitor struct{ err *Error }

// Visit looks at one node.
func (v *visitor) Visit(n ast.Node) ast.Visitor {
	if v.err != nil {
		return nil
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode:
		v.err = at(n, "tags, anchors, aliases and merge keys of YAML are not taken; write the value itself")
		return nil
	}
	return v
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// levels are Sigma's; informational counts as low.
var levels = []string{"low", "medium", "high", "critical", "informational"}

// read reads one document.
func read(n ast.Node) (*Rule, *Error) {
	b, err := blockOf(n, "a rule")
	if err != nil {
		return nil, err
	}
	if err := b.sigma(); err != nil {
		return nil, err
	}
	r := &Rule{Level: event.Medium, Cooldown: DefaultCooldown, Generate: true, Line: b.line()}
	level, over := int(event.Medium), int(Hits)
	generate := b.take("generate")
	where, correlation := b.take("where"), b.take("correlation")
	for _, e := range []*Error{
		b.text(&r.Name, "name", MaxName), b.text(&r.Title, "title", 256), b.text(&r.Description, "description", 4096),
		b.text(&r.Origin, "origin", 1024),
		b.word(&level, "level", levels), b.word(&over, "over", overs),
		b.duration(&r.Cooldown, "cooldown", time.Minute, maxCooldown),
		yes(generate, &r.Generate, "generate"), yes(b.take("disabled"), &r.Disabled, "disabled"), b.rest(),
	} {
		if e != nil {
			return nil, e
		}
	}
	if level < len(levels)-1 {
		r.Level = event.Severity(level)
	} else {
		r.Level = event.Low
	}
	r.Over = Over(over)
	switch {
	case r.Name == "":
		return nil, at(n, "name is missing: letters, digits, '_' and '-'")
	case !validName.MatchString(r.Name):
		return nil, at(n, "name: %q is not valid; use letters, digits, '_' and '-'", r.Name)
	case r.Title == "":
		return nil, at(n, "title is missing: one line that is shown with each alert")
	case strings.ContainsFunc(r.Title, unicode.IsControl):
		return nil, at(n, "title must be one line without control characters")
	case where == nil && correlation == nil:
		return nil, at(n, "neither where nor correlation: the rule would fit everything")
	}
	if where != nil {
		if r.Where, err = r.tests(where); err != nil {
			return nil, err
		}
	}
	if correlation == nil {
		if generate != nil && r.Generate {
			return nil, at(generate, "generate: a rule without correlation raises no alerts; it is for others to refer to")
		}
		r.Generate = false
		return r, nil
	}
	if err := r.correlation(correlation); err != nil {
		return nil, err
	}
	return r, nil
}

// tests reads where.
func (r *Rule) tests(n ast.Node) (tests []Test, err *Error) {
	b, err := blockOf(n, "where")
	if err != nil {
		return nil, err
	}
	for _, f := range Fields {
		if !f.Has(r.Over) {
			continue
		}
		v := b.take(f.Name)
		if v == nil {
			continue
		}
		t := Test{Field: f}
		if err := t.read(v); err != nil {
			return nil, err
		}
		if err := t.decides(v); err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, b.rest()
}

// read reads what a field must be: a value, a list of values of which one must fit, not: in
// front of either, or a comparison of a number.
func (t *Test) read(n ast.Node) *Error {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		b, err := blockOf(n, t.Field.Name)
		if err != nil {
			return err
		}
		if not := b.take("not"); not != nil {
			t.Not = true
			if err := b.rest(); err != nil {
				return err
			}
			return t.values(not)
		}
		if t.Field.Kind != Number {
			return at(n, "%s cannot be compared; give a value, a list of values, or not: with either", t.Field.Name)
		}
		b.known = append(b.known, "not")
		t.Range, err = condition(b)
		return err
	}
	return t.values(n)
}

// decides refuses a test that always or never holds.
func (t *Test) decides(n ast.Node) *Error {
	name, most := t.Field.Name, t.Field.most()
	all := false
	switch t.Field.Kind {
	case Number:
		if t.Range.IsZero() {
			return nil
		}
		if t.Range.Min > most {
			return at(n, "%s: %s never holds; the greatest is %d", name, t.Range.text, most)
		}
		all = t.Range.Min == 0 && t.Range.Max >= most
	case Word, YesNo:
		all = uint64(len(t.Numbers)) > most
	case Address:
		all = len(t.Prefixes) > 1 && t.Prefixes[0].Bits()+t.Prefixes[1].Bits() == 0
	}
	if all {
		return at(n, "%s: this fits every value; leave it out", name)
	}
	return nil
}

// values reads a value or a list of values.
func (t *Test) values(n ast.Node) *Error {
	all := list(n)
	if len(all) == 0 {
		return at(n, "%s: the list is empty", t.Field.Name)
	}
	for _, v := range all {
		s, err := scalar(v, t.Field.Name)
		if err != nil {
			return err
		}
		before := len(t.Numbers)
		if bad := t.value(s); bad != nil {
			return at(v, "%s: %q is not valid; use %w", t.Field.Name, show(s), bad)
		}
		if before < len(t.Numbers) && slices.Contains(t.Numbers[:before], t.Numbers[before]) {
			return at(v, "%s: %s is there twice", t.Field.Name, s)
		}
	}
	return nil
}

// value reads one value; the error is what is allowed.
func (t *Test) value(s string) error {
	switch t.Field.Kind {
	case Address:
		p, err := netip.ParsePrefix(s)
		if a, bad := netip.ParseAddr(s); bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return errors.New("an address or a prefix such as 192.0.2.0/24")
		}
		if p != p.Masked() {
			return fmt.Errorf("%s for the network, or %s for the address", p.Masked(), p.Addr())
		}
		t.Prefixes = append(t.Prefixes, p)
	case Number:
		n, err := strconv.ParseUint(s, 10, 64)
		if most := t.Field.most(); err != nil || n > most {
			return fmt.Errorf("a whole number up to %d", most)
		}
		t.Numbers = append(t.Numbers, n)
	case Text:
		if len(s) > 256 {
			return errors.New("256 bytes at most")
		}
		t.Texts = append(t.Texts, s)
	case Protocol:
		n, ok := flow.ParseProtocol(s)
		if !ok {
			return errors.New("an IANA keyword such as tcp, or a number up to 255")
		}
		t.Numbers = append(t.Numbers, uint64(n))
	case Word:
		i := slices.Index(t.Field.Words, s)
		if i < 0 {
			return errors.New(strings.Join(t.Field.Words, ", "))
		}
		t.Numbers = append(t.Numbers, uint64(i))
	case YesNo:
		i := slices.Index([]string{"no", "yes", "false", "true"}, s)
		if i < 0 {
			return errors.New("yes or no")
		}
		t.Numbers = append(t.Numbers, uint64(i%2))
	}
	return nil
}

// comparisons are Sigma's words.
var comparisons = []string{"gt", "gte", "lt", "lte", "eq"}

// condition reads comparisons of a number, which must all hold.
func condition(b *block) (Condition, *Error) {
	c := Condition{Max: math.MaxUint64}
	for _, word := range comparisons {
		v := b.take(word)
		if v == nil {
			continue
		}
		s, err := scalar(v, word)
		if err != nil {
			return c, err
		}
		n, bad := strconv.ParseUint(s, 10, 63)
		if bad != nil {
			return c, at(v, "%s: %q is not a whole number", word, show(s))
		}
		switch word {
		case "gt":
			c.Min = max(c.Min, n+1)
		case "gte":
			c.Min = max(c.Min, n)
		case "lt":
			if n == 0 {
				return c, at(v, "lt: 0 never holds")
			}
			c.Max = min(c.Max, n-1)
		case "lte":
			c.Max = min(c.Max, n)
		case "eq":
			c.Min, c.Max = max(c.Min, n), min(c.Max, n)
		}
		if c.text != "" {
			c.text += ", "
		}
		c.text += word + ": " + s
	}
	if err := b.rest(); err != nil {
		return c, err
	}
	switch {
	case c.text == "":
		return c, at(b.node, "no comparison; use %s", strings.Join(comparisons, ", "))
	case c.Min > c.Max:
		return c, at(b.node, "%s never holds", c.text)
	case c.Min == 0 && c.Max == math.MaxUint64:
		return c, at(b.node, "%s always holds", c.text)
	}
	return c, nil
}
