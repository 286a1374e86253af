package feeds

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
	"github.com/flowsnitch/flowsnitch/intel/feeds/rows"
)

var (
	errNoMember = errors.New("the row has no such member")
	errNotJSON  = errors.New("not JSON")
)

// Limits of a path.
const (
	maxPaths    = 16
	maxSegments = 32
)

// CheckPath reports what is wrong with the path of a member; nil means that Parse knows
// it.
func CheckPath(path string) error {
	_, err := splitPaths(path)
	return err
}

// splitPaths reads paths such as data.ip, $.prefixes[*].ip_prefix or .a[].b, several of
// them separated by commas. Lists need no mark: they are entered wherever they are. A
// segment * stands for any member; one that holds a dot is quoted, as in ["a.b"].
func splitPaths(text string) ([][]string, error) {
	var paths [][]string
	for text = document.Trim(text); text != ""; {
		path, rest, err := splitPath(text)
		if err != nil {
			return nil, err
		}
		if len(path) == 0 || len(paths) == maxPaths {
			return nil, fmt.Errorf("path %.80q: must be 1 to %d members, such as data.ip", text, maxPaths)
		}
		paths, text = append(paths, path), document.Trim(rest)
	}
	return paths, nil
}

// splitPath reads the first path of a text.
func splitPath(text string) (path []string, rest string, err error) {
	all := text
	text = strings.TrimPrefix(text, "$")
	for {
		text = document.TrimLeft(text)
		switch {
		case text == "":
			return path, "", nil
		case text[0] == ',':
			return path, text[1:], nil
		case len(path) > maxSegments:
			return nil, "", fmt.Errorf("path %.80q: more than %d members deep", all, maxSegments)
		case text[0] == '.':
			text = text[1:]
		case strings.HasPrefix(text, "[]"):
			text = text[2:]
		case strings.HasPrefix(text, "[*]"):
			text = text[3:]
		case strings.HasPrefix(text, `["`), strings.HasPrefix(text, "['"):
			name, after, closed := strings.Cut(text[2:], text[1:2]+"]")
			if !closed {
				return nil, "", fmt.Errorf("path %.80q: %s is not closed", all, text[:2])
			}
			path, text = append(path, name), after
		case text[0] == '[':
			return nil, "", fmt.Errorf("path %.80q: single items of a list cannot be named; write [] or nothing for all", all)
		default:
			n := prefix.Span(text, func(c byte) bool { return strings.IndexByte(".[,", c) < 0 })
			path, text = append(path, document.Trim(text[:n])), text[n:]
		}
	}
}

// A jsonFinder reads the values of members from JSON of any shape. Each text is a row of
// a plain list. Without a path the document must be a list of texts, or an object whose
// keys are addresses.
type jsonFinder struct {
	*jsonwalk.Reader
	paths [][]string
	found bool
}

// runJSON parses JSON of any shape, or one JSON value a line.
func runJSON(d *document.Document, src *document.Source, _ string) error {
	paths, err := splitPaths(d.Opts.Path)
	if err != nil {
		return d.Refuse("%v", err)
	}
	head := bytes.Clone(src.Head())
	f := &jsonFinder{paths: paths}
	if len(paths) == 0 {
		f.paths = [][]string{{}}
	}
	if isJSONLines(head) {
		err = f.lines(d, src)
	} else {
		f.Reader = jsonwalk.New(d, src)
		err = f.whole()
	}
	switch {
	case errors.Is(err, errNeedPath), err == nil && !f.found && len(paths) > 0:
		return d.Refuse("%s", whereAddresses(head, d.Opts.Path))
	case err != nil:
		return err
	}
	return nil
}

// whole reads the one value of the document, or several of them in a row.
func (f *jsonFinder) whole() error {
	for f.Dec.More() {
		if err := f.top(); err != nil {
			return err
		}
	}
	return f.AtEnd()
}

func (f *jsonFinder) top() error {
	found, err := f.value(f.paths, 0)
	f.found = f.found || found
	return err
}

// lines reads one value a line. A line that is not JSON is rejected alone.
func (f *jsonFinder) lines(d *document.Document, src *document.Source) error {
	return d.EachLine(src, func(line string) error {
		if document.Trim(line) == "" {
			return nil
		}
		n := d.Line
		defer func() { d.Line = n }()
		if !json.Valid([]byte(line)) {
			d.Reject(line, errNotJSON)
			return nil
		}
		f.Reader = jsonwalk.New(d, strings.NewReader(line))
		f.Base = n - 1
		rows := f.rows()
		found, err := f.value(f.paths, 0)
		if err == nil && !found && f.rows() == rows {
			d.Reject(line, errNoMember)
		}
		f.found = f.found || found
		return err
	})
}

// errNeedPath ends the reading of a document in which nothing shows what the addresses
// are.
var errNeedPath = errors.New("JSON of unknown shape")

// rows counts what was taken and rejected so far.
func (f *jsonFinder) rows() int {
	r := &f.Doc.Report
	return r.Accepted + r.Rejected + r.RejectedParts
}

// value reads the next value; paths lead from it to the addresses, an empty one is at
// its end. It reports whether a path came to its end.
func (f *jsonFinder) value(paths [][]string, depth int) (bool, error) {
	if depth > jsonwalk.MaxJSONDepth {
		return false, f.Doc.Refuse("%v", jsonwalk.ErrJSONDepth)
	}
	t, err := f.Token()
	if err != nil {
		return false, err
	}
	ends := slices.ContainsFunc(paths, func(p []string) bool { return len(p) == 0 })
	switch t {
	case json.Delim('['):
		return f.array(paths, ends, depth)
	case json.Delim('{'):
		return f.object(paths, ends, depth)
	}
	if !ends {
		return false, nil
	}
	f.SetLine()
	if text, ok := t.(string); ok {
		return true, rows.TakePlain(f.Doc, document.Trim(text))
	}
	f.Doc.Reject(fmt.Sprint(t), jsonwalk.ErrNoValue)
	return true, nil
}

// array reads the items of a list. Each of them is a row that must have an address.
func (f *jsonFinder) array(paths [][]string, ends bool, depth int) (bool, error) {
	reached := ends
	err := f.Items(func() error {
		rows := f.rows()
		found, err := f.value(paths, depth+1)
		if err == nil && !found && f.rows() == rows {
			f.SetLine()
			f.Doc.Reject("", errNoMember)
		}
		reached = reached || found
		return err
	})
	return reached, err
}

// object reads the members that the paths name. Where a path ends at an object, its keys
// are the rows.
func (f *jsonFinder) object(paths [][]string, ends bool, depth int) (bool, error) {
	reached, empty := ends, true
	err := f.Members(func(name string) error {
		empty = false
		if ends {
			if _, _, err := prefix.Token(name); err != nil && len(f.paths[0]) == 0 {
				return errNeedPath
			}
			f.SetLine()
			if err := rows.TakePlain(f.Doc, name); err != nil {
				return err
			}
			return f.Skip()
		}
		next := stepInto(paths, name)
		if len(next) == 0 {
			if depth == 0 {
				return f.SkipDated(name)
			}
			return f.Skip()
		}
		found, err := f.value(next, depth+1)
		reached = reached || found
		return err
	})
	if err == nil && ends && empty {
		f.Odd("{}")
	}
	return reached, err
}

// stepInto gives what is left of the paths that lead into a member.
func stepInto(paths [][]string, name string) [][]string {
	var next [][]string
	for _, p := range paths {
		if len(p) > 0 && (p[0] == name || p[0] == "*") {
			next = append(next, p[1:])
		}
	}
	return next
}

// isJSONLines recognises one value a line from one value on several lines.
func isJSONLines(head []byte) bool {
	head = bytes.TrimLeft(head, document.Space)
	line, rest, more := bytes.Cut(head, []byte("\n"))
	return more && len(bytes.TrimLeft(rest, document.Space)) > 0 && json.Valid(line)
}

// whereAddresses makes the words for a document in which no address was found, with the
// members that hold some by the start of the document.
func whereAddresses(head []byte, path string) string {
	text := "JSON of unknown shape"
	if path != "" {
		text = fmt.Sprintf("no member %q", path)
	}
	counts := make(map[string]int)
	countAddresses(head, counts)
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	switch {
	case len(names) == 0:
		return text + ", without addresses in its first part; set path to the member that holds them"
	case len(names) > 3:
		names = names[:3]
	}
	return text + "; set path: " + document.Escape(strings.Join(names, " or ")) + " if these are the addresses"
}

// countAddresses counts the texts of a document that are addresses, by their paths.
func countAddresses(head []byte, counts map[string]int) {
	dec := json.NewDecoder(bytes.NewReader(head))
	var walk func(path string, depth int) error
	walk = func(path string, depth int) error {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth == maxSegments {
				return jsonwalk.ErrJSONDepth
			}
			for dec.More() {
				at := path
				if t == json.Delim('{') {
					key, err := dec.Token()
					if err != nil {
						return err
					}
					name, _ := key.(string)
					at = joinPath(path, name)
				}
				if err := walk(at, depth+1); err != nil {
					return err
				}
			}
			_, err = dec.Token()
			return err
		}
		if s, ok := t.(string); ok && (counts[path] > 0 || len(counts) < maxShapePaths) {
			if _, _, err := prefix.Token(document.Trim(s)); err == nil {
				counts[path]++
			}
		}
		return nil
	}
	for walk("", 0) == nil {
	}
}

// joinPath appends a member as splitPath reads it.
func joinPath(path, name string) string {
	switch {
	case strings.ContainsAny(name, ".[,\"' ") || name == "":
		return path + `["` + name + `"]`
	case path == "":
		return name
	}
	return path + "." + name
}
