package rule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// An Error is what is wrong in a file of rules, and where. Line and Column count from 1; 0 =
// nowhere in particular.
type Error struct {
	File         string
	Line, Column int
	Err          error
}

// Error gives file:line:column: reason, in one line that is safe for a terminal: a part of the
// file may be in it.
func (e *Error) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, max(e.Column, 1))
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf("%s: %v", place, e.Err))
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// at is an error at a node.
func at(n ast.Node, format string, args ...any) *Error {
	e := &Error{Err: fmt.Errorf(format, args...)}
	switch x := n.(type) { // the token of a block that is not in braces is its first colon
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			n = x.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = x.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// syntax takes the place out of an error of the YAML library, which otherwise spreads over
// many lines.
func syntax(err error) *Error {
	e := &Error{Err: err}
	var s *yaml.SyntaxError
	if errors.As(err, &s) {
		e.Err = errors.New(s.Message)
		if s.Token != nil {
			e.Line, e.Column = s.Token.Position.Line, s.Token.Position.Column
		}
		return e
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	e.Err = errors.New(first)
	return e
}

// A block is a mapping whose keys are taken out one by one; those that are left are unknown.
type block struct {
	node  ast.Node
	left  map[string]*ast.MappingValueNode
	known []string
	taken map[string]ast.Node
}

// blockOf reads a mapping.
func blockOf(n ast.Node, what string) (*block, *Error) {
	var values []*ast.MappingValueNode
	switch x := n.(type) {
	case *ast.MappingNode:
		values = x.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{x}
	default:
		return nil, at(n, "%s must be a block of keys", what)
	}
	if len(values) == 0 {
		return nil, at(n, "%s has no key", what)
	}
	b := &block{node: n, left: make(map[string]*ast.MappingValueNode, len(values))}
	for _, v := range values {
		key := v.Key.GetToken().Value
		if b.left[key] != nil {
			return nil, at(v.Key, "key %q is there twice", show(key))
		}
		if v.Value == nil || v.Value.Type() == ast.NullType {
			return nil, at(v.Key, "%s has no value; is what follows indented?", show(key))
		}
		b.left[key] = v
	}
	return b, nil
}

// line is that of the first key.
func (b *block) line() int {
	line := 0
	for _, v := range b.left {
		if at := v.Key.GetToken().Position.Line; line == 0 || at < line {
			line = at
		}
	}
	return line
}

// metadata are keys of Sigma that change nothing here.
var metadata = []string{"id", "status", "author", "date", "modified", "references", "tags", "falsepositives", "license", "related", "scope", "taxonomy"}

// instead are keys of Sigma that are not taken, and what to write.
var instead = map[string]string{
	"detection":   "a rule here looks at flows; write the fields and their values below where",
	"logsource":   "write over: hits or over: contacts",
	"aliases":     "rules that are referred to have the same fields; group-by names them",
	"fields":      "an alert shows what there is",
	"timeframe":   "write timespan below correlation",
	"filter":      "write the fields and their values below where, with not:",
	"selection":   "write the fields and their values below where",
	"condition":   "write it below correlation",
	"timespan":    "write it below correlation",
	"group-by":    "write it below correlation",
	"action":      "a document has one whole rule",
	"aggregation": "write correlation",
}

// sigma takes out the metadata of a Sigma rule, and explains keys that are not taken. It is
// for the outermost block.
func (b *block) sigma() *Error {
	for _, key := range metadata {
		delete(b.left, key)
	}
	if v, ok := b.first(func(key string) bool { return instead[key] != "" }); ok {
		key := v.Key.GetToken().Value
		return at(v.Key, "%s is not supported; %s", key, instead[key])
	}
	return nil
}

// first gives the first key of those that are left of which ok holds.
func (b *block) first(ok func(key string) bool) (first *ast.MappingValueNode, found bool) {
	for key, v := range b.left {
		if ok(key) && (first == nil || v.Key.GetToken().Position.Offset < first.Key.GetToken().Position.Offset) {
			first = v
		}
	}
	return first, first != nil
}

// take gives the value of a key, nil when there is none.
func (b *block) take(key string) ast.Node {
	b.known = append(b.known, key)
	v := b.left[key]
	delete(b.left, key)
	if v == nil {
		return nil
	}
	if b.taken == nil {
		b.taken = make(map[string]ast.Node)
	}
	b.taken[key] = v.Value
	return v.Value
}

// of is where the value of a key is, or the block where it has none.
func (b *block) of(key string) ast.Node {
	if v := b.taken[key]; v != nil {
		return v
	}
	return b.node
}

// rest gives an error for the first key that was not taken.
func (b *block) rest() *Error {
	if len(b.left) == 0 {
		return nil
	}
	rest, _ := b.first(func(string) bool { return true })
	slices.Sort(b.known)
	return at(rest.Key, "unknown key %q; allowed are %s", show(rest.Key.GetToken().Value), strings.Join(slices.Compact(b.known), ", "))
}

// show cuts a foreign text for an error.
func show(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "..."
}

// scalar gives the text of a plain value.
func scalar(n ast.Node, what string) (string, *Error) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSpace(x.Value.Value), nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return x.GetToken().Value, nil
	}
	return "", at(n, "%s must be one value", what)
}

// list gives the values of a list; one value is a list of one.
func list(n ast.Node) []ast.Node {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values
	}
	return []ast.Node{n}
}

// text reads a text of at most n bytes.
func (b *block) text(to *string, key string, n int) *Error {
	v := b.take(key)
	if v == nil {
		return nil
	}
	s, err := scalar(v, key)
	if err != nil {
		return err
	}
	if len(s) > n {
		return at(v, "%s has %d bytes; at most %d are allowed", key, len(s), n)
	}
	*to = s
	return nil
}

// word reads one of a few words.
func (b *block) word(to *int, key string, words []string) *Error {
	v := b.take(key)
	if v == nil {
		return nil
	}
	s, err := scalar(v, key)
	if err != nil {
		return err
	}
	i := slices.Index(words, s)
	if i < 0 || s == "" {
		return at(v, "%s: %q is not valid; use %s", key, show(s), strings.Join(slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == "" }), ", "))
	}
	*to = i
	return nil
}

// yes reads true or false.
func yes(v ast.Node, to *bool, key string) *Error {
	if v == nil {
		return nil
	}
	x, ok := v.(*ast.BoolNode)
	if !ok {
		return at(v, "%s must be true or false", key)
	}
	*to = x.Value
	return nil
}

// duration reads a length of time: 90s, 10m, 6h, 2d.
func (b *block) duration(to *time.Duration, key string, least, most time.Duration) *Error {
	v := b.take(key)
	if v == nil {
		return nil
	}
	s, err := scalar(v, key)
	if err != nil {
		return err
	}
	d, bad := parseDuration(s)
	if bad != nil {
		return at(v, "%s: %q is not a length of time; use a number with s, m, h or d, such as 10m", key, show(s))
	}
	if d < least || d > most || d%time.Second != 0 {
		return at(v, "%s: %s is not valid; use whole seconds, %s to %s", key, show(s), Short(least), Short(most))
	}
	*to = d
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// Short gives a length of time in its largest whole unit.
func Short(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.Itoa(int(d/u.unit)) + u.name
		}
	}
	return d.String()
}

// number reads a number, also one of percent: 15 %.
func (b *block) number(to *float64, key string, least, most float64) *Error {
	v := b.take(key)
	if v == nil {
		return nil
	}
	s, err := scalar(v, key)
	if err != nil {
		return err
	}
	digits, percent := strings.CutSuffix(s, "%")
	f, bad := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		f /= 100
	}
	if bad != nil || !(f >= least && f <= most) {
		return at(v, "%s: %q is not valid; use a number from %g to %g", key, show(s), least, most)
	}
	*to = f
	return nil
}
