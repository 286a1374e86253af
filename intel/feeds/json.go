package feeds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of JSON: how deep values may be nested, and how long one value may be
// that has to be in memory as a whole, a string or a row.
const (
	maxJSONDepth = 1000
	maxJSONValue = 16 << 20
)

var (
	errJSONDepth = errors.New("values nested deeper than 1,000")
	errJSONValue = errors.New("one value is longer than 16 MiB")
	errNotObject = errors.New("not a JSON object")
	errNoValue   = errors.New("no address in the row")
	errShape     = errors.New("not of the type that the format has here")
)

// A jsonReader walks through a JSON document without ever holding it. Its errors
// are those of document.refuse, or what a handler returned.
type jsonReader struct {
	d   *document
	dec *json.Decoder
	in  *jsonInput
	// known is set when a member that makes the document was met.
	known bool
	base  int // lines of the document before the reader's first
}

func newJSONReader(d *document, r io.Reader) *jsonReader {
	in := &jsonInput{r: r}
	in.dec = json.NewDecoder(in)
	return &jsonReader{d: d, dec: in.dec, in: in}
}

// jsonInput stands between source and decoder: the decoder keeps in memory what
// lies between its offset and the bytes that were read, so this is bounded here.
type jsonInput struct {
	r     io.Reader
	dec   *json.Decoder
	read  int64
	lines int // line ends read
}

// How much the decoder gets at a time: little, so that little has to be looked at
// to find the line of a row; more when it is in the middle of a long value, as it
// goes over blanks again after each read.
const (
	jsonChunk    = 8 << 10
	maxJSONChunk = 256 << 10
)

func (in *jsonInput) Read(p []byte) (int, error) {
	held := in.read - in.dec.InputOffset()
	if held > maxJSONValue {
		return 0, errJSONValue
	}
	chunk := max(jsonChunk, min(held, maxJSONChunk))
	n, err := in.r.Read(p[:min(int64(len(p)), chunk)])
	in.read += int64(n)
	in.lines += bytes.Count(p[:n], []byte{'\n'})
	return n, err
}

// setLine tells the document on which line the decoder stands.
func (j *jsonReader) setLine() {
	var ahead lineCounter
	_, _ = io.Copy(&ahead, j.dec.Buffered())
	j.d.line = j.base + j.in.lines - int(ahead) + 1
}

// lineCounter counts the line ends that are written to it.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// setErrorLine does so after an error: the decoder stands before the blanks and
// separators in front of what it could not read.
func (j *jsonReader) setErrorLine() {
	j.setLine()
	ahead, _ := io.ReadAll(io.LimitReader(j.dec.Buffered(), jsonChunk))
	blanks := len(ahead) - len(bytes.TrimLeft(ahead, asciiSpace+",:"))
	j.d.line += bytes.Count(ahead[:blanks], []byte{'\n'})
}

// broken makes the error of a document that is not JSON.
func (j *jsonReader) broken(err error) error {
	j.setErrorLine()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return j.d.refuse("JSON that ends too early")
	}
	return j.d.refuse("not JSON: %v", err)
}

// handlers say what to do with a value of unknown type. A handler consumes one
// value: that of the key, or one item. A value that has no handler is rejected, unless
// it is null.
type handlers struct {
	key    func(name string) error
	item   func() error
	scalar func(t json.Token) error
	known  bool // a list makes the document
}

// document walks the one value of the document: a list, or an object with at
// least one member that a handler knows. wants says so in the error for any other.
// An empty object is an empty document.
func (j *jsonReader) document(wants string, h handlers) error {
	members := 0
	key := h.key
	h.key = func(name string) error {
		members++
		return key(name)
	}
	h.scalar = func(json.Token) error {
		return j.d.refuse("must be %s in JSON", wants)
	}
	if err := j.walk(h); err != nil {
		return err
	}
	if members > 0 && !j.known {
		return j.d.refuse("must be %s in JSON", wants)
	}
	return j.atEnd()
}

// atEnd makes sure that nothing follows the document.
func (j *jsonReader) atEnd() error {
	_, err := j.dec.Token()
	if err == nil {
		j.setLine()
		return j.d.refuse("more text after the end of the JSON")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return j.broken(err)
}

// walk consumes the next value with the handlers for its type.
func (j *jsonReader) walk(h handlers) error {
	t, err := j.token()
	if err != nil {
		return err
	}
	switch {
	case t == json.Delim('{') && h.key != nil:
		return j.members(h.key)
	case t == json.Delim('{'):
		j.odd("{...}")
		return j.members(func(string) error { return j.skip() })
	case t == json.Delim('[') && h.item != nil:
		j.known = j.known || h.known
		return j.items(h.item)
	case t == json.Delim('['):
		j.odd("[...]")
		return j.items(j.skip)
	case h.scalar != nil:
		return h.scalar(t)
	case t != nil:
		j.odd(fmt.Sprint(t))
	}
	return nil
}

// odd counts a value that is not of the type that the format has in its place.
func (j *jsonReader) odd(value string) {
	j.setLine()
	j.d.reject(value, errShape)
}

// oddScalar does so where null is none of the types either.
func (j *jsonReader) oddScalar(t json.Token) error {
	j.odd(fmt.Sprint(t))
	return nil
}

// list consumes the list that makes the document. Nothing else may stand there, null
// neither: only a list without items is an empty document.
func (j *jsonReader) list(name string, item func() error) error {
	j.known = true
	t, err := j.token()
	switch {
	case err != nil:
		return err
	case t != json.Delim('['):
		if t == nil {
			t = "null"
		}
		j.setLine()
		return j.d.refuse("%s is not a list but %s", name, escape(fmt.Sprint(t)))
	}
	return j.items(item)
}

// element runs walk over an element of a list and counts one in which no member that
// makes it was met.
func (j *jsonReader) element(walk func() error) error {
	before, rejected := j.known, j.d.report.Rejected
	j.known = false
	err := walk()
	if err == nil && !j.known && j.d.report.Rejected == rejected {
		j.odd("...")
	}
	j.known = j.known || before
	return err
}

func (j *jsonReader) members(key func(string) error) error {
	for j.dec.More() {
		t, err := j.token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if err := key(name); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

func (j *jsonReader) items(item func() error) error {
	for j.dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

func (j *jsonReader) token() (json.Token, error) {
	t, err := j.dec.Token()
	if err != nil {
		return nil, j.broken(err)
	}
	return t, nil
}

// row decodes the next value into v, a struct of lenient fields, and tells the
// document its line. A value or field of the wrong type leaves v as it is.
func (j *jsonReader) row(v any) error {
	err := j.dec.Decode(v)
	j.setLine()
	var wrongType *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrongType) {
		return nil
	}
	return j.broken(err)
}

// skip reads over the next value, whatever its size.
func (j *jsonReader) skip() error {
	if err := skipValue(j.dec); err != nil {
		return j.broken(err)
	}
	return nil
}

func skipValue(dec *json.Decoder) error {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxJSONDepth {
			return errJSONDepth
		}
		if depth == 0 {
			return nil
		}
	}
}
