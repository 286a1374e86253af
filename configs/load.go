package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load reads a configuration file. Keys that it leaves out have their defaults.
// Errors are of type *[Error].
func Load(path string) (Config, error) { return LoadProfile(path, "") }

// LoadProfile is Load with a profile that holds instead of the one that the file names;
// empty = that of the file. Without a path it gives the profile alone.
func LoadProfile(path, profile string) (Config, error) {
	if path == "" {
		return parse("", nil, profile)
	}
	b, err := readFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return Config{}, &Error{File: path, Err: err}
	}
	return parse(path, b, profile)
}

// Parse reads a configuration; name stands for the file in errors.
func Parse(name string, b []byte) (Config, error) { return parse(name, b, "") }

func parse(name string, b []byte, profile string) (Config, error) {
	c := base()
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // editors on Windows write it
	c.text = b
	if e := checkSize(b); e != nil {
		e.File = name
		return c, e
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return c, syntaxError(name, err)
	}
	if len(f.Docs) > 1 {
		return c, &Error{File: name, Err: fmt.Errorf("%d documents in one file, only one is supported", len(f.Docs))}
	}
	var body ast.Node
	if len(f.Docs) > 0 && f.Docs[0].Body != nil && f.Docs[0].Body.Type() != ast.NullType {
		body = f.Docs[0].Body
		if e := checkBlocks(body); e != nil {
			e.File = name
			return c, e
		}
		c.keys = keysOf(body)
	}
	if body == nil && name != "" {
		return c, &Error{File: name, Err: errEmpty}
	}
	if profile == "" {
		profile = profileOf(body)
	}
	if err := c.adopt(profile); err != nil {
		return c, place(name, body, err)
	}
	if body != nil {
		rest, err := c.takeBlocks(body)
		if err == nil && rest != nil {
			err = yaml.NodeToValue(rest, &c, yaml.Strict())
		}
		if err != nil {
			return c, syntaxError(name, err)
		}
	}
	c.Profile = profile
	c.Fill()
	if err := c.Validate(); err != nil {
		return c, place(name, body, err)
	}
	return c, nil
}

// keysOf gives the keys of the outermost block.
func keysOf(body ast.Node) (keys []string) {
	pairs, _ := pairsOf(body)
	for _, p := range pairs {
		keys = append(keys, p.Key.GetToken().Value)
	}
	return keys
}

// syntaxError takes place and message out of the YAML library's error, which
// otherwise spreads over many lines.
func syntaxError(name string, err error) *Error {
	e := &Error{File: name, Err: err}
	var se *yaml.SyntaxError
	var te *yaml.TypeError
	switch {
	case errors.As(err, &se):
		e.Err = errors.New(se.Message + syntaxHint(se.Message))
		if se.Token != nil {
			e.Line, e.Column = se.Token.Position.Line, se.Token.Position.Column
		}
	case errors.As(err, &te) && te.Token != nil:
		e.Line, e.Column = te.Token.Position.Line, te.Token.Position.Column
		e.Err = errors.New(firstLine(te.Error()))
	default:
		e.Err = errors.New(firstLine(err.Error()))
	}
	return e
}

// syntaxHint returns advice about a mistake of syntax.
func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, `'\t'`) || strings.Contains(message, "\t") || strings.Contains(message, "tab character"):
		return "; YAML takes no tabs there: use blanks"
	case strings.Contains(message, "value is not allowed in this context"), strings.Contains(message, "mapping value is not allowed"):
		return "; is it indented by as many blanks as its neighbours?"
	case strings.Contains(message, "could not find end character"):
		return "; a quote or bracket that is opened must be closed"
	}
	return ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// place finds the key that a validation error begins with, so that the error can
// say where it stands.
func place(name string, body ast.Node, err error) *Error {
	key, what, ok := strings.Cut(err.Error(), ": ")
	if !ok || body == nil {
		return &Error{File: name, Err: err}
	}
	e := &Error{File: name, Key: key, Err: errors.New(what)}
	for at := key; at != ""; at = parent(at) {
		p, perr := yaml.PathString("$." + at)
		if perr != nil {
			break
		}
		n, perr := p.FilterNode(body)
		if perr == nil && n != nil {
			pos := n.GetToken().Position
			e.Line, e.Column = pos.Line, pos.Column
			break
		}
	}
	return e
}

// parent gives the path without its last key or index.
func parent(key string) string {
	if i := strings.LastIndexAny(key, ".["); i > 0 {
		return key[:i]
	}
	return ""
}
