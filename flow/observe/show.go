package observe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// AppendJSON appends the status as JSON: an object with a member for each section, and the
// fields of the section without a name. private includes the private sections.
func (r *Registry) AppendJSON(b []byte, private bool) ([]byte, error) {
	b = append(b, '{')
	for _, c := range r.live() {
		for _, s := range c.sections {
			v := s.values()
			if s.Private && !private || isNil(v) {
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				return b, fmt.Errorf("section %s: %w", s.Name, err)
			}
			if s.Name == "" {
				text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("{")), []byte("}"))
			} else {
				text = append(fmt.Appendf(nil, "%q:", s.Name), text...)
			}
			if len(text) == 0 {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
	}
	return append(b, '}'), nil
}

func isNil(v any) bool {
	x := reflect.ValueOf(v)
	return !x.IsValid() || (x.Kind() == reflect.Pointer || x.Kind() == reflect.Slice) && x.IsNil()
}

// WriteText writes the status for people: first the sections without a name, then the others
// in the order in which data flows, each as it prints itself, or by its tags: a line for each
// struct that has labels of its own. final is set for the text after the stop.
func (r *Registry) WriteText(w io.Writer, final bool) error {
	var b bytes.Buffer
	write := func(c *Component, head bool) {
		for _, s := range c.sections {
			switch v := s.values; {
			case (s.Name == "") != head:
			case s.print != nil:
				s.print(&b, v(), final)
			case !s.Plain:
				p := printer{w: &b, now: time.Now(), title: cmp.Or(s.Name, "flowsnitch")}
				p.print(reflect.ValueOf(v()), "")
			}
		}
	}
	live := r.live()
	for _, c := range live {
		write(c, true)
	}
	for _, c := range slices.Backward(live) {
		write(c, false)
	}
	_, err := w.Write(b.Bytes())
	return err
}

type printer struct {
	w     io.Writer
	now   time.Time
	title string
}

// print writes the line of a struct, and the lines of what it contains.
func (p *printer) print(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			p.print(v.Elem(), name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.print(v.Index(i), name)
		}
	case reflect.Struct:
		l := line{now: p.now}
		l.take(v, name)
		if len(l.parts) > 0 {
			fmt.Fprintf(p.w, "%-10s %s\n", p.title, printable(strings.TrimPrefix(l.name+": ", ": ")+strings.Join(l.parts, ", ")))
		}
		for _, more := range l.more {
			p := printer{w: p.w, now: p.now, title: more.title}
			p.print(more.v, strings.TrimSpace(l.name+" "+more.name))
		}
	}
}

// A line collects the parts of one line.
type line struct {
	now   time.Time
	name  string
	parts []string
	more  []under
}

// under is a part of a struct that has lines of its own.
type under struct {
	title, name string
	v           reflect.Value
}

func (l *line) take(v reflect.Value, name string) {
	l.name = name
	l.fields(v)
}

func (l *line) fields(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		x := v.Field(f.index)
		switch {
		case f.unless >= 0 && v.Field(f.unless).IsZero():
		case f.isLabel(x.Type()):
			l.name = strings.TrimSpace(l.name + " " + textOf(x))
		case f.show != "-":
			l.field(&f, x)
		}
	}
}

func (l *line) field(f *field, v reflect.Value) {
	always := f.show == "always"
	if v.Kind() == reflect.String {
		if text := textOf(v); f.show != "" && v.Len() > 0 {
			l.parts = append(l.parts, strings.TrimPrefix(f.words+": ", ": ")+text)
		}
		return
	}
	if n, ok := number(f, v, l.now); ok {
		if f.show != "" && (always || n != 0) {
			l.parts = append(l.parts, figure(f, v, n))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() != timeType {
			l.fields(v)
		}
	case reflect.Array:
		for i := range v.Len() {
			if n, ok := number(f, v.Index(i), l.now); ok && f.show != "" && n != 0 && i < len(f.values) {
				l.parts = append(l.parts, fmt.Sprintf("%.0f %s (%s)", n, f.words, f.values[i]))
			}
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(textOf(a), textOf(b)) })
		for _, key := range keys {
			x := v.MapIndex(key)
			if n, ok := number(f, x, l.now); ok {
				if f.show != "" && n != 0 {
					l.parts = append(l.parts, fmt.Sprintf("%.0f %s (%s)", n, f.words, textOf(key)))
				}
				continue
			}
			l.more = append(l.more, under{f.json, textOf(key), x})
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				l.more = append(l.more, under{f.json, "", v.Index(i)})
			}
		} else if f.show != "" && v.Len() > 0 {
			l.parts = append(l.parts, fmt.Sprintf("%s: %v", f.words, v.Interface()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			l.field(f, v.Elem())
		}
	}
}

// figure prints a number and its words.
func figure(f *field, v reflect.Value, n float64) string {
	switch {
	case v.Kind() == reflect.Bool:
		return f.words
	case v.Type().Implements(reflect.TypeFor[fmt.Stringer]()) && v.Type() != timeType && v.Type() != durationType:
		return strings.TrimSpace(textOf(v) + " " + f.words)
	case v.Type() == timeType:
		return fmt.Sprintf("%s %s ago", f.words, time.Duration(n*float64(time.Second)).Round(time.Second))
	case v.Type() == durationType || strings.HasSuffix(f.name, "_seconds"):
		return fmt.Sprintf("%s %s", f.words, time.Duration(n*float64(time.Second)).Round(time.Millisecond))
	case strings.HasSuffix(strings.TrimSuffix(f.name, "_total"), "_bytes"):
		return strings.TrimSpace(Size(uint64(max(n, 0))) + " " + strings.TrimSuffix(strings.TrimSuffix(f.words, "bytes"), " "))
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %s", n, f.words))
}

// Size prints bytes for people.
func Size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// printable replaces what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
