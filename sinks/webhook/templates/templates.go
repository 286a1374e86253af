// Package templates makes the documents that services take out of a message: the templates
// that ship with the program, and those of the operator (text/template of Go). What a
// template can show is a [notice.View], with the functions of [functions].
//
// A document is bounded: a message that is too long for the service names fewer offenders.
package templates

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

//go:embed *.tmpl
var files embed.FS

// Names are the templates that ship with the program.
var Names = []string{"mattermost", "ntfy", "pagerduty", "slack", "teams"}

// Bounds of a document and of the file of a template, in bytes.
const (
	maxDocument = 256 << 10
	maxFile     = 64 << 10
)

// ContentJSON is the content type of all that ship with the program.
const ContentJSON = "application/json"

// shipped is what the services take, by their own documentation.
var shipped = map[string]struct {
	most  int  // bytes of a document
	named int  // notices in it
	each  bool // one document for each notice
}{
	// https://docs.slack.dev/reference/block-kit/blocks: 50 blocks, 3,000 characters a text; documents
	// with more than about 13,000 characters are refused with msg_blocks_too_long.
	"slack": {most: 12_000, named: 20},
	// https://docs.mattermost.com/developers/integrate/webhooks/incoming: posts have 16,383 characters.
	"mattermost": {most: 16_000, named: 20},
	// https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors: 28 KB.
	"teams": {most: 27_000, named: 20},
	// https://docs.ntfy.sh/publish/: a message of more than 4,096 bytes becomes an attached file.
	"ntfy": {most: 8_000, named: 20},
	// https://developer.pagerduty.com/docs/send-alert-event: 512 KB, one event a request.
	"pagerduty": {most: 64_000, named: 5, each: true},
}

// A Template makes documents.
type Template struct {
	t           *template.Template
	contentType string
	most, named int
	each        bool
}

// Shipped gives a template of the program.
func Shipped(name string) (*Template, error) {
	limits, ok := shipped[name]
	if !ok {
		return nil, fmt.Errorf("template: %q is not valid; use one of %s", name, strings.Join(Names, ", "))
	}
	text, err := files.ReadFile(name + ".tmpl")
	if err != nil {
		return nil, err
	}
	t, err := parse(name, string(text))
	if err != nil {
		return nil, err
	}
	return &Template{t, ContentJSON, limits.most, limits.named, limits.each}, nil
}

// Own reads a template of the operator. each makes one document for each offender and alert.
// The error is about the file, or about what it makes of samples.
func Own(path, contentType string, each bool) (*Template, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	t, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	own := &Template{t, contentType, maxDocument, 20, each}
	return own, own.try()
}

// readFile reads a template. A pipe or a device is refused: reading it could block.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: is not a file", path)
	case info.Size() > maxFile:
		return "", fmt.Errorf("%s: has %d bytes, at most %d", path, info.Size(), maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err == nil && !utf8.Valid(b) {
		err = fmt.Errorf("%s: is not UTF-8", path)
	}
	return string(b), err
}

func parse(name, text string) (*template.Template, error) {
	t := template.New(name).Funcs(functions).Option("missingkey=error")
	// What a part of the template makes, as a text that other functions can take.
	depth := 0 // one goroutine uses a template
	t.Funcs(template.FuncMap{"render": func(part string, v any) (string, error) {
		if depth++; depth > 10 {
			return "", errors.New("render calls itself")
		}
		defer func() { depth-- }()
		b := &bounded{most: maxDocument}
		err := t.ExecuteTemplate(b, part, v)
		return b.String(), err
	}})
	return t.Parse(text)
}

// functions are what templates can call beside those of Go.
var functions = template.FuncMap{
	"json":     jsonText,
	"cut":      cut,
	"bytes":    cutBytes,
	"within":   within,
	"code":     notice.Code,
	"slack":    notice.EscapeSlack,
	"markdown": markdown,
	"quiet":    quiet,
	"join":     func(list []string, sep string) string { return strings.Join(list, sep) },
	"coded":    coded,
	"lines":    lines,
	"upper":    strings.ToUpper,
	"rfc3339":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}

// jsonText gives a value as JSON: a text with its quotes. It can stand nowhere but as a value.
func jsonText(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// cut gives at most n characters of a text, with an ellipsis where there were more.
func cut(n int, s string) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(0, n-1)]) + fit.Ellipsis
}

// cutBytes gives at most n bytes of a text likewise.
func cutBytes(n int, s string) string {
	if len(s) <= n {
		return s
	}
	return fit.Cut(s, max(0, n-len(fit.Ellipsis))) + fit.Ellipsis
}

// within gives a text that has at most n bytes. A longer one would lose its end, which states how
// many are not named: the message is made again with fewer offenders.
func within(n int, s string) (string, error) {
	if len(s) > n {
		return "", errTooLong
	}
	return s, nil
}

// markdown escapes a text, so that it is shown as it is.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range quiet(s) {
		if strings.ContainsRune("\\`*_{}[]()<>#+-.!|~:", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// quiet puts a character without width behind each @, so that nobody is mentioned.
func quiet(s string) string { return strings.ReplaceAll(s, "@", "@\u200b") }

// coded gives a line of a label and at most n characters of a text as code; nothing where
// there is no text.
func coded(label string, n int, s string) string {
	if s == "" {
		return ""
	}
	return label + notice.Code(cut(n, s)) + "\n"
}

// lines gives the texts that are not empty.
func lines(all ...any) (list []string) {
	for _, v := range all {
		if s, ok := v.(string); ok && s != "" {
			list = append(list, s)
		}
	}
	return list
}

// ContentType is what the documents are.
func (t *Template) ContentType() string { return t.contentType }

// Documents makes the documents of a message, each with what fill adds to the view. Where it
// would be too long, it names fewer offenders and counts the others.
func (t *Template) Documents(m *notice.Message, fill func(*notice.View)) ([][]byte, error) {
	for named := t.named; ; named /= 2 {
		v := m.View(max(named, 1))
		fill(&v)
		docs, err := t.documents(v)
		if !errors.Is(err, errTooLong) || named <= 1 {
			return docs, err
		}
	}
}

func (t *Template) documents(v notice.View) (docs [][]byte, err error) {
	if !t.each {
		doc, err := t.render(v)
		return [][]byte{doc}, err
	}
	n := len(v.Notices)
	if v.More > 0 {
		n++ // those that are not named
	}
	for i := range n {
		doc, err := t.render(v.Single(i))
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// errTooLong is a document that has more bytes than it may.
var errTooLong = errors.New("makes a document that is too long")

// render makes one document.
func (t *Template) render(v notice.View) ([]byte, error) {
	b := &bounded{most: t.most}
	if err := t.t.Execute(b, v); err != nil {
		if b.over || errors.Is(err, errTooLong) {
			return nil, fmt.Errorf("template %w: it may have %d bytes", errTooLong, t.most)
		}
		return nil, err
	}
	if t.isJSON() && !json.Valid(b.Bytes()) {
		return nil, fmt.Errorf("template %s makes a document that is not JSON; put {{json .Field}} where texts stand", t.t.Name())
	}
	return b.Bytes(), nil
}

func (t *Template) isJSON() bool {
	kind, _, err := mime.ParseMediaType(t.contentType)
	return err == nil && (kind == ContentJSON || strings.HasSuffix(kind, "+json"))
}

// A bounded buffer refuses more than most bytes.
type bounded struct {
	bytes.Buffer
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.over = true
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// try makes documents of samples: of plain and of hostile text, with much and with little.
func (t *Template) try() error {
	for _, m := range samples() {
		if _, err := t.Documents(m, func(v *notice.View) { v.Topic, v.RoutingKey = "topic", strings.Repeat("0", 32) }); err != nil {
			return err
		}
	}
	return nil
}

// Known reports whether a template of that name ships with the program.
func Known(name string) bool { return slices.Contains(Names, name) }
