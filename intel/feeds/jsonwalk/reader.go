package jsonwalk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// Limits of JSON: how deep values may be nested, and how long one value may be
// that has to be in memory as a whole, a string or a row.
const (
	MaxJSONDepth = 1000
	maxJSONValue = 16 << 20
)

var (
	ErrJSONDepth = errors.New("values nested deeper than 1,000")
	errJSONValue = errors.New("one value is longer than 16 MiB")
	ErrNotObject = errors.New("not a JSON object")
	ErrNoValue   = errors.New("no address in the row")
	errShape     = errors.New("not of the type that the format has here")
)

// A Reader walks through a JSON document without ever holding it. Its errors
// are those of Document.Refuse, or what a handler returned.
type Reader struct {
	Doc *document.Document
	Dec *json.Decoder
	in  *jsonInput
	// Known is set when a member that makes the document was met.
	Known bool
	Base  int // lines of the document before the reader's first
}

// New begins to read the JSON of a document.
func New(d *document.Document, r io.Reader) *Reader {
	in := &jsonInput{r: r}
	in.dec = json.NewDecoder(in)
	return &Reader{Doc: d, Dec: in.dec, in: in}
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

// SetLine sets the line of the document to where the decoder stands.
func (j *Reader) SetLine() {
	var ahead lineCounter
	_, _ = io.Copy(&ahead, j.Dec.Buffered())
	j.Doc.Line = j.Base + j.in.lines - int(ahead) + 1
}

// lineCounter counts the line ends that are written to it.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// setErrorLine does so after an error: the decoder stands before the blanks and
// separators in front of what it could not read.
func (j *Reader) setErrorLine() {
	j.SetLine()
	ahead, _ := io.ReadAll(io.LimitReader(j.Dec.Buffered(), jsonChunk))
	blanks := len(ahead) - len(bytes.TrimLeft(ahead, document.Space+",:"))
	j.Doc.Line += bytes.Count(ahead[:blanks], []byte{'\n'})
}

// broken makes the error of a document that is not JSON.
func (j *Reader) broken(err error) error {
	j.setErrorLine()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return j.Doc.Refuse("JSON that ends too early")
	}
	return j.Doc.Refuse("not JSON: %v", err)
}

// Handlers take a value of unknown type. A handler consumes one
// value: that of the key, or one item. A value that has no handler is rejected, unless
// it is null.
type Handlers struct {
	Key    func(name string) error
	Item   func() error
	Scalar func(t json.Token) error
	Known  bool // a list makes the document
}

// Document walks the one value of the document: a list, or an object with at
// least one member that a handler knows. what describes it in the error for any other.
// An empty object is an empty document.
func (j *Reader) Document(what string, h Handlers) error {
	members := 0
	key := h.Key
	h.Key = func(name string) error {
		members++
		return key(name)
	}
	h.Scalar = func(json.Token) error {
		return j.Doc.Refuse("must be %s in JSON", what)
	}
	if err := j.Walk(h); err != nil {
		return err
	}
	if members > 0 && !j.Known {
		return j.Doc.Refuse("must be %s in JSON", what)
	}
	return j.AtEnd()
}

// AtEnd makes sure that nothing follows the document.
func (j *Reader) AtEnd() error {
	_, err := j.Dec.Token()
	if err == nil {
		j.SetLine()
		return j.Doc.Refuse("more text after the end of the JSON")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return j.broken(err)
}

// Walk consumes the next value with the handlers for its type.
func (j *Reader) Walk(h Handlers) error {
	t, err := j.Token()
	if err != nil {
		return err
	}
	switch {
	case t == json.Delim('{') && h.Key != nil:
		return j.Members(h.Key)
	case t == json.Delim('{'):
		j.Odd("{...}")
		return j.Members(func(string) error { return j.Skip() })
	case t == json.Delim('[') && h.Item != nil:
		j.Known = j.Known || h.Known
		return j.Items(h.Item)
	case t == json.Delim('['):
		j.Odd("[...]")
		return j.Items(j.Skip)
	case h.Scalar != nil:
		return h.Scalar(t)
	case t != nil:
		j.Odd(fmt.Sprint(t))
	}
	return nil
}

// Odd counts a value that is not of the type that the format has in its place.
func (j *Reader) Odd(value string) {
	j.SetLine()
	j.Doc.Reject(value, errShape)
}

// OddScalar does so where null is none of the types either.
func (j *Reader) OddScalar(t json.Token) error {
	j.Odd(fmt.Sprint(t))
	return nil
}

// List consumes the list that makes the document. Nothing else may stand there, null
// neither: only a list without items is an empty document.
func (j *Reader) List(name string, item func() error) error {
	j.Known = true
	t, err := j.Token()
	switch {
	case err != nil:
		return err
	case t != json.Delim('['):
		if t == nil {
			t = "null"
		}
		j.SetLine()
		return j.Doc.Refuse("%s is not a list but %s", name, document.Escape(fmt.Sprint(t)))
	}
	return j.Items(item)
}

// Element runs walk over an element of a list and counts one in which no member that
// makes it was met.
func (j *Reader) Element(walk func() error) error {
	before, rejected := j.Known, j.Doc.Report.Rejected
	j.Known = false
	err := walk()
	if err == nil && !j.Known && j.Doc.Report.Rejected == rejected {
		j.Odd("...")
	}
	j.Known = j.Known || before
	return err
}

// Members calls key with the name of each member of the object that has begun; key
// consumes the value.
func (j *Reader) Members(key func(string) error) error {
	for j.Dec.More() {
		t, err := j.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if err := key(name); err != nil {
			return err
		}
	}
	_, err := j.Token()
	return err
}

// Items calls item for each element of the list that has begun; item consumes it.
func (j *Reader) Items(item func() error) error {
	for j.Dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := j.Token()
	return err
}

// Token reads the next token.
func (j *Reader) Token() (json.Token, error) {
	t, err := j.Dec.Token()
	if err != nil {
		return nil, j.broken(err)
	}
	return t, nil
}

// Row decodes the next value into v, a struct of lenient fields, and sets its line in the
// document. A value or field of the wrong type leaves v as it is.
func (j *Reader) Row(v any) error {
	err := j.Dec.Decode(v)
	j.SetLine()
	var wrongType *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrongType) {
		return nil
	}
	return j.broken(err)
}

// Skip reads over the next value, whatever its size.
func (j *Reader) Skip() error {
	if err := SkipValue(j.Dec); err != nil {
		return j.broken(err)
	}
	return nil
}

// SkipValue reads over the next value, whatever its size.
func SkipValue(dec *json.Decoder) error {
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
		if depth > MaxJSONDepth {
			return ErrJSONDepth
		}
		if depth == 0 {
			return nil
		}
	}
}

// RefuseRow counts a row whose address is missing or wrong.
func (j *Reader) RefuseRow(address Text, err error) error {
	if address == "" {
		err = ErrNoValue
	}
	j.Doc.Reject(string(address), err)
	return nil
}

// SkipDated reads over a member of the document, unless it is the date of the data.
func (j *Reader) SkipDated(name string) error {
	switch {
	case name == "meta" || name == "metadata":
		return j.Walk(Handlers{Key: j.SkipDated, Item: j.Skip, Scalar: func(json.Token) error { return nil }})
	case !dates.IsName(name):
		return j.Skip()
	}
	var value Text
	if err := j.Row(&value); err != nil {
		return err
	}
	j.Doc.Dated(dates.OfData, dates.Find(string(value)))
	return nil
}

// A Text is a JSON string, number or boolean as a string: feeds change their
// minds about types. Null, arrays and objects are the empty text.
type Text string

// UnmarshalJSON never fails on valid JSON.
func (t *Text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch b[0] {
	case 'n', '{', '[':
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(s)
	default:
		*t = Text(b)
	}
	return nil
}

// Yes reads the truth in its spellings: true, "true", 1, "1".
func (t Text) Yes() bool { return t == "1" || t == "true" || t == "True" }

// No reads an explicit false; an absent value is neither yes nor no.
func (t Text) No() bool { return t == "0" || t == "false" || t == "False" }

// Words is a list of texts; anything else is the empty list.
type Words []Text

// UnmarshalJSON never fails on valid JSON.
func (w *Words) UnmarshalJSON(b []byte) error {
	*w = nil
	if b[0] != '[' {
		return nil
	}
	var list []Text
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*w = list
	return nil
}
