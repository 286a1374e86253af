package configs

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// An Error is a mistake in a configuration file: where it is, in which key, and
// what is allowed there.
type Error struct {
	File         string // as given to Load
	Line, Column int    // from 1; 0 = not known
	Key          string // path of the key, as in listen[0].udp
	Err          error  // the mistake, with what is allowed
}

// Error gives "FILE:LINE:COLUMN: KEY: what".
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	for _, part := range []string{e.Key, e.Err.Error()} {
		if s != "" && part != "" {
			s += ": "
		}
		s += part
	}
	return s
}

// Unwrap gives what is wrong.
func (e *Error) Unwrap() error { return e.Err }

var (
	durationType = reflect.TypeFor[time.Duration]()
	addrType     = reflect.TypeFor[netip.Addr]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// check compares a node of the document with the type that it is meant for: it
// finds unknown keys and values of the wrong kind, where the YAML library itself
// cannot name the place. It also replaces ${NAME} in strings and completes
// addresses to prefixes.
func check(n ast.Node, t reflect.Type, key string) *Error {
	if n == nil || n.Type() == ast.NullType {
		return nil
	}
	switch n.(type) {
	case *ast.TagNode, *ast.AnchorNode, *ast.AliasNode:
		return at(n, key, errors.New("tags, anchors and aliases of YAML are not taken; write the value itself"))
	}
	if err := expand(n); err != nil {
		return at(n, key, err)
	}
	if _, ok := n.(ast.ScalarNode); ok {
		// To decode one value the library walks over all tokens that hang together with
		// its own, which takes minutes for some thousand prefixes.
		tok := n.GetToken()
		tok.Prev, tok.Next = nil, nil
	}
	if u, ok := reflect.New(t).Interface().(yaml.BytesUnmarshaler); ok {
		if err := u.UnmarshalYAML([]byte(n.GetToken().Value)); err != nil {
			return at(n, key, err)
		}
		return nil
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return check(n, t.Elem(), key)
	case t == durationType || t == addrType || t == prefixType:
		return checkText(n, t, key)
	case t.Kind() == reflect.Struct:
		return checkMap(n, t, key)
	case t.Kind() == reflect.Slice:
		return checkList(n, t.Elem(), key)
	}
	return checkScalar(n, t.Kind(), key)
}

// at makes an error with the place of a node.
func at(n ast.Node, key string, err error) *Error {
	e := &Error{Key: key, Err: err}
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		e.Line, e.Column = tok.Position.Line, tok.Position.Column
	}
	return e
}

// checkMap checks every key of a mapping against the fields of a struct.
func checkMap(n ast.Node, t reflect.Type, key string) *Error {
	return checkFields(n, fieldsOf(t), blockExamples[t], key)
}

// checkFields checks every key of a mapping against those that it may have. example shows a
// mapping, for errors.
func checkFields(n ast.Node, fields map[string]reflect.Type, example, key string) *Error {
	pairs, ok := pairsOf(n)
	if !ok {
		return at(n, key, fmt.Errorf("must be a block of keys%s, not %s", example, kindOf(n)))
	}
	for _, p := range pairs {
		name := p.Key.GetToken().Value
		f, ok := fields[name]
		if !ok {
			return at(p.Key, join(key, name), fmt.Errorf("unknown key; allowed are %s",
				strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
		}
		if err := check(p.Value, f, join(key, name)); err != nil {
			return err
		}
	}
	return nil
}

// blockExamples show an entry of lists whose entries are blocks.
var blockExamples = map[reflect.Type]string{
	reflect.TypeFor[udp.Config]():     ` such as - udp: ":2055"`,
	reflect.TypeFor[spec.Feed]():      " such as - preset: dshield",
	reflect.TypeFor[Sink]():           " such as - jsonlog: {}",
	reflect.TypeFor[sites.Exporter](): " such as - {name: edge-1, address: 192.0.2.1}",
	reflect.TypeFor[sites.Site]():     " such as - {name: oslo, home: [10.0.0.0/8]}",
}

// pairsOf gives the entries of a mapping. goccy has a node of its own for a
// mapping with a single entry.
func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}, true
	}
	return nil, false
}

// fieldsOf gives the keys that a struct takes.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	m := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("yaml"); name != "" && name != "-" {
			m[name] = f.Type
		}
	}
	return m
}

func checkList(n ast.Node, elem reflect.Type, key string) *Error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return at(n, key, fmt.Errorf("must be a list%s, not %s", blockExamples[elem], kindOf(n)))
	}
	for i, v := range list.Values {
		if err := check(v, elem, fmt.Sprintf("%s[%d]", key, i)); err != nil {
			return err
		}
	}
	return nil
}

func checkScalar(n ast.Node, kind reflect.Kind, key string) *Error {
	want := ""
	switch kind {
	case reflect.String:
		if _, ok := n.(ast.ScalarNode); !ok {
			want = "a text"
		}
	case reflect.Bool:
		if n.Type() != ast.BoolType {
			want = "true or false"
		}
	case reflect.Float32, reflect.Float64:
		if n.Type() != ast.FloatType && n.Type() != ast.IntegerType {
			want = "a number"
		}
	default:
		if n.Type() != ast.IntegerType {
			want = "a whole number"
		} else if strings.HasPrefix(n.GetToken().Value, "-") {
			want = "a number that is not negative"
		} else if _, err := strconv.ParseUint(n.GetToken().Value, 0, bits(kind)); err != nil {
			want = "a smaller number"
		}
	}
	if want != "" {
		return at(n, key, fmt.Errorf("must be %s, not %s", want, kindOf(n)))
	}
	return nil
}

// bits gives the width of an integer kind, without the sign.
func bits(k reflect.Kind) int {
	switch k {
	case reflect.Uint8:
		return 8
	case reflect.Uint16:
		return 16
	case reflect.Uint32:
		return 32
	case reflect.Int:
		return strconv.IntSize - 1
	}
	return 63
}

// checkText checks values that are written as text: durations and addresses.
func checkText(n ast.Node, t reflect.Type, key string) *Error {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return at(n, key, fmt.Errorf("must be %s, not %s", exampleOf(t), kindOf(n)))
	}
	var err error
	switch t {
	case durationType:
		_, err = time.ParseDuration(s.Value)
	case addrType:
		_, err = netip.ParseAddr(s.Value)
	case prefixType:
		err = completePrefix(s)
	}
	if bits, ok := errors.AsType[*hostBits](err); ok {
		return at(n, key, bits)
	}
	if err != nil {
		return at(n, key, fmt.Errorf("%s is not %s", quote(s.Value), exampleOf(t)))
	}
	return nil
}

// A hostBits is a prefix with bits behind its length: a slip in one or the other.
type hostBits struct{ p netip.Prefix }

func (e *hostBits) Error() string {
	return fmt.Sprintf("%s has bits behind its length; write %s for the network, or %s for the address", e.p, e.p.Masked(), e.p.Addr())
}

func exampleOf(t reflect.Type) string {
	switch t {
	case durationType:
		return "a duration such as 90s, 10m or 1h"
	case addrType:
		return "an IP address such as 192.0.2.1 or 2001:db8::1"
	}
	return "a prefix such as 192.0.2.0/24, or an IP address"
}

// completePrefix lets a bare address stand for a prefix of its full length.
func completePrefix(s *ast.StringNode) error {
	if a, err := netip.ParseAddr(s.Value); err == nil && a.Zone() == "" {
		setText(s, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String())
		return nil
	}
	p, err := netip.ParsePrefix(s.Value)
	if err != nil {
		return err
	}
	if p.Addr().Is4In6() {
		return errors.New("IPv4-mapped")
	}
	if p != p.Masked() {
		return &hostBits{p}
	}
	setText(s, p.String())
	return nil
}

func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a block of keys"
	case ast.SequenceType:
		return "a list"
	}
	return quote(n.GetToken().Value)
}

// maxShown is how much of a wrong value an error shows.
const maxShown = 60

// quote shows a value, or the start of a long one.
func quote(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(fit.Cut(s, maxShown)) + "..."
	}
	return strconv.Quote(s)
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} in a text by the environment's value.
func expand(n ast.Node) error {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return nil
	}
	var missing string
	text := variable.ReplaceAllStringFunc(s.Value, func(v string) string {
		name := v[2 : len(v)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return value
	})
	if missing != "" {
		return fmt.Errorf("environment variable %s is not set", missing)
	}
	if text != s.Value {
		setText(s, text)
	}
	return nil
}

// setText changes a text. The library reads some types from the node and some
// from its token.
func setText(s *ast.StringNode, text string) {
	s.Value, s.Token.Value, s.Token.Origin = text, text, text
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
