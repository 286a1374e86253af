package observe

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Field is a number that a section can have, from the tags alone: nothing need run.
type Field struct {
	Section, Path string // the path has the names of the Go fields
	Name, Help    string // of the metric
	Labels        []string
	Loss          bool
	Check, Judged string
	Counter       bool

	json, remedy string
}

// Fields lists the numbers of all sections, of components that are not ready too.
func (r *Registry) Fields() (list []Field) {
	for _, c := range r.components {
		for _, s := range c.sections {
			if s.Plain {
				continue
			}
			d := describer{section: s.Name}
			d.walk(s.typ, "", nil)
			list = append(list, d.list...)
		}
	}
	return list
}

type describer struct {
	section string
	list    []Field
}

func (d *describer) walk(t reflect.Type, path string, labels []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		d.walk(t.Elem(), path, labels)
	case reflect.Struct:
		if t == timeType {
			return
		}
		fields := fieldsOf(t)
		labels = slices.Clip(labels)
		for _, f := range fields {
			if f.isLabel(t.Field(f.index).Type) {
				labels = append(labels, f.label)
			}
		}
		for _, f := range fields {
			ft := t.Field(f.index).Type
			if f.isLabel(ft) && f.name == "" {
				continue
			}
			d.field(&f, ft, path+"."+f.goName, labels)
		}
	}
}

func (d *describer) field(f *field, t reflect.Type, path string, labels []string) {
	labels = slices.Clip(labels)
	if f.with[0] != "" {
		labels = append(labels, f.with[0])
	}
	elem := t
	if elem.Kind() == reflect.Pointer && isNumber(elem.Elem()) {
		elem = elem.Elem()
	}
	if t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		elem, labels = t.Elem(), append(labels, f.label)
	}
	if isNumber(elem) || f.name != "" {
		d.list = append(d.list, Field{
			Section: d.section, Path: strings.TrimPrefix(path, "."), Name: f.name, Help: f.help, Labels: slices.Clone(labels),
			Loss: f.loss, Check: f.check, Judged: f.judged, Counter: isCounter(f.name), json: f.json, remedy: f.remedy,
		})
		return
	}
	d.walk(elem, path, labels)
}

func isNumber(t reflect.Type) bool {
	v := reflect.New(t).Elem()
	return v.CanInt() || v.CanUint() || v.CanFloat() || t.Kind() == reflect.Bool
}

// Complaints names everything that the contract forbids: a number without JSON key, name or
// help, a loss that no registered check looks at, a metric with two sets of labels.
func (r *Registry) Complaints() (list []string) {
	checks := make(map[string]bool)
	for _, c := range r.components {
		for _, check := range c.checks {
			checks[check.Name] = true
		}
		for _, many := range c.many {
			for _, name := range many.Names {
				checks[name] = true
			}
		}
	}
	labels := make(map[string]string)
	for _, f := range r.Fields() {
		say := func(format string, args ...any) {
			list = append(list, f.Section+": "+f.Path+": "+fmt.Sprintf(format, args...))
		}
		if f.json == "" {
			say("has no json key")
		}
		switch {
		case f.Name == "" || f.Help == "" && f.Name != "-":
			say("needs name and help")
		case f.Loss && f.Check == "" && f.Judged == "":
			say("is a loss: name the check that looks at it (check, or judged)")
		case f.Check != "" && (!checks[f.Check] || f.remedy == ""):
			say("needs a registered check, and a remedy: %q", f.Check)
		case f.Judged != "" && !checks[f.Judged]:
			say("there is no check %q", f.Judged)
		case f.Loss && f.Name != "-" && !f.Counter:
			say("is a loss, so its name ends in _total")
		}
		if f.Name == "-" {
			continue
		}
		set := strings.Join(f.Labels, ",") + ": " + f.Help
		if known, ok := labels[f.Name]; ok && known != set {
			say("%s has other labels or another help elsewhere", f.Name)
		}
		labels[f.Name] = set
	}
	return list
}

// Table gives the rows of the table of metrics in the documentation, sorted by the order
// of the sections, without repeated names.
func (r *Registry) Table(prefix string) string {
	var b strings.Builder
	b.WriteString("| Metric | Labels | Meaning |\n|---|---|---|\n")
	seen := make(map[string]bool)
	for _, f := range r.Fields() {
		if f.Name == "-" || f.Name == "" || seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", prefix, f.Name, strings.Join(f.Labels, ", "), f.Help)
	}
	return b.String()
}
