package observe

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A field is what the tags of a struct field say.
type field struct {
	index  int
	goName string
	json   string
	name   string // of the metric; "" and "-" = none
	help   string
	label  string
	values []string // of an array
	with   [2]string
	unless int // index of the flag that must not be zero; -1 = none
	scale  float64

	settles, loss bool
	check         string
	state         State
	least         float64
	remedy        string
	judged        string
	words         string
	show          string
}

// isCounter reports whether a metric is a counter, by its name.
func isCounter(name string) bool { return strings.HasSuffix(name, "_total") }

// fieldsOf reads the tags of a struct type. Embedded structs count as fields of their own.
func fieldsOf(t reflect.Type) (list []field) {
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		tag := sf.Tag
		key, _, _ := strings.Cut(tag.Get("json"), ",")
		f := field{
			index: i, goName: sf.Name, json: key, name: tag.Get("name"), help: tag.Get("help"), label: tag.Get("label"), unless: -1,
			settles: tag.Get("settles") == "true", loss: tag.Get("loss") == "true", check: tag.Get("check"), state: Warning,
			remedy: tag.Get("remedy"), judged: tag.Get("judged"), words: tag.Get("words"), show: tag.Get("show"),
		}
		if v := tag.Get("values"); v != "" {
			f.values = strings.Split(v, ",")
		}
		f.with[0], f.with[1], _ = strings.Cut(tag.Get("with"), "=")
		if flag, ok := t.FieldByName(tag.Get("if")); ok {
			f.unless = flag.Index[0]
		}
		if tag.Get("state") == Critical.String() {
			f.state = Critical
		}
		f.scale = 1
		if v, err := strconv.ParseFloat(tag.Get("scale"), 64); err == nil {
			f.scale = v
		}
		f.least, _ = strconv.ParseFloat(tag.Get("least"), 64)
		if _, ok := tag.Lookup("words"); !ok {
			f.words = strings.ReplaceAll(f.json, "_", " ")
		}
		if f.show == "" && f.loss {
			f.show = "some"
		}
		list = append(list, f)
	}
	return list
}

// isLabel reports whether a field gives its value to a label of the whole struct.
func (f *field) isLabel(t reflect.Type) bool {
	return f.label != "" && t.Kind() != reflect.Map && t.Kind() != reflect.Array && t.Kind() != reflect.Slice
}

// A Label is a name and a value.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Sample is one number of a section. Its JSON is for readers that show what they do not
// know: name, labels, number, and whether it is a loss.
type Sample struct {
	Section string  `json:"section"`
	Name    string  `json:"name"` // of the metric; "" = it is none
	Help    string  `json:"help,omitempty"`
	Labels  []Label `json:"labels,omitempty"`
	Value   float64 `json:"value"`
	Loss    bool    `json:"loss,omitempty"`
	Words   string  `json:"words,omitempty"`

	field *field
}

// IsCounter reports whether the metric is a counter; else it is a gauge.
func (s *Sample) IsCounter() bool { return isCounter(s.Name) }

// key identifies a sample among all.
func (s *Sample) key() string {
	var b strings.Builder
	b.WriteString(s.Section + " " + s.field.goName + " " + s.Name)
	for _, l := range s.Labels {
		b.WriteString("\x00" + l.Value)
	}
	return b.String()
}

// where gives the values of the labels in brackets.
func (s *Sample) where() string {
	var values []string
	for _, l := range s.Labels {
		values = append(values, l.Value)
	}
	if len(values) == 0 {
		return ""
	}
	return " (" + strings.Join(values, ", ") + ")"
}

// Samples gives the numbers of all sections of components that are ready.
func (r *Registry) Samples() (list []Sample) {
	for _, c := range r.live() {
		for _, s := range c.sections {
			if !s.Plain {
				list = append(list, SamplesOf(s.Name, s.values())...)
			}
		}
	}
	return list
}

// SamplesOf gives the numbers of the value of a section.
func SamplesOf(section string, value any) []Sample {
	w := walker{section: section, now: time.Now()}
	w.walk(reflect.ValueOf(value), nil)
	return w.samples
}

// Metrics gives the samples that are metrics. Counters that settle never go back.
func (r *Registry) Metrics() []Sample {
	r.mu.Lock() // a look that is older than another must not be taken in after it
	defer r.mu.Unlock()
	list := slices.DeleteFunc(r.Samples(), func(s Sample) bool { return s.Name == "" })
	high := make(map[string]float64)
	for i := range list {
		if s := &list[i]; s.field.settles {
			key := s.key()
			s.Value = max(s.Value, r.high[key])
			high[key] = s.Value
		}
	}
	r.high = high // what is not listed any more is forgotten
	return list
}

type walker struct {
	section string
	now     time.Time
	samples []Sample
}

// walk takes in a value of a section; labels are those of everything around it.
func (w *walker) walk(v reflect.Value, labels []Label) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem(), labels)
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(v.Index(i), labels)
		}
	case reflect.Struct:
		w.structOf(v, labels)
	}
}

func (w *walker) structOf(v reflect.Value, labels []Label) {
	fields := fieldsOf(v.Type())
	labels = slices.Clip(labels)
	for i := range fields {
		if f := &fields[i]; f.isLabel(v.Type().Field(f.index).Type) {
			labels = append(labels, Label{f.label, textOf(v.Field(f.index))})
		}
	}
	for i := range fields {
		f := &fields[i]
		if f.unless >= 0 && v.Field(f.unless).IsZero() || f.isLabel(v.Type().Field(f.index).Type) && f.name == "" {
			continue
		}
		w.field(f, v.Field(f.index), labels)
	}
}

func (w *walker) field(f *field, v reflect.Value, labels []Label) {
	if f.with[0] != "" {
		labels = append(slices.Clip(labels), Label{f.with[0], f.with[1]})
	}
	if n, ok := number(f, v, w.now); ok {
		if f.name != "" {
			w.add(f, n, labels)
		}
		return
	}
	if f.name == "-" {
		return // of something else that is shown, or without number
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.field(f, v.Elem(), labels)
		}
	case reflect.Array:
		for i := range v.Len() {
			if n, ok := number(f, v.Index(i), w.now); ok && i < len(f.values) {
				w.add(f, n, append(slices.Clip(labels), Label{f.label, f.values[i]}))
			}
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(textOf(a), textOf(b)) })
		for _, key := range keys {
			under := append(slices.Clip(labels), Label{f.label, textOf(key)})
			if n, ok := number(f, v.MapIndex(key), w.now); ok {
				w.add(f, n, under)
				continue
			}
			w.walk(v.MapIndex(key), under)
		}
	case reflect.Slice:
		if f.name != "" {
			w.add(f, float64(v.Len()), labels)
		}
		if f.name == "" {
			w.walk(v, labels)
		}
	default:
		if f.name == "" {
			w.walk(v, labels)
		}
	}
}

func (w *walker) add(f *field, n float64, labels []Label) {
	name := f.name
	if name == "-" {
		name = ""
	}
	for i := range labels {
		labels[i].Value = strings.ToValidUTF8(labels[i].Value, "?")
	}
	w.samples = append(w.samples, Sample{
		Name: name, Help: f.help, Labels: slices.Clone(labels), Value: n * f.scale, Loss: f.loss, Words: f.words, Section: w.section, field: f,
	})
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// number gives the number of a leaf; false for a time that is not known and for everything
// that has parts.
func number(f *field, v reflect.Value, now time.Time) (float64, bool) {
	switch {
	case v.Type() == timeType:
		t := v.Interface().(time.Time)
		if t.IsZero() {
			return 0, false
		}
		if strings.HasSuffix(f.name, "_timestamp_seconds") {
			return float64(t.UnixMilli()) / 1000, true
		}
		return max(now.Sub(t).Seconds(), 0), true
	case v.Type() == durationType:
		return time.Duration(v.Int()).Seconds(), true
	case v.Kind() == reflect.String:
		return flagOf(v.Len() > 0), f.name != "" && f.name != "-"
	case v.Kind() == reflect.Bool:
		return flagOf(v.Bool()), true
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	case v.Type() == reflect.TypeFor[netip.AddrPort]():
		return flagOf(v.Interface().(netip.AddrPort).IsValid()), f.name != "" && f.name != "-"
	}
	return 0, false
}

func flagOf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// textOf gives the value of a label.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err == nil {
			return string(b)
		}
	case fmt.Stringer:
		return x.String()
	}
	return fmt.Sprint(v.Interface())
}
