// Package figures walks the fields of a status struct and changes one after another, for
// tests that require every field to be shown somewhere: in the text, the JSON or the
// metrics. It is imported by tests alone.
package figures

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Fill gives every exported field below v, a pointer to a struct, that has the zero value
// another one: numbers are large and all different, flags are true, times are date, and
// pointers, slices and maps get one element. Every time it gives the same.
func Fill(v any, date time.Time) {
	f := filler{date: date, next: 1_000_003}
	f.fill(reflect.ValueOf(v).Elem())
}

type filler struct {
	date time.Time
	next int64
}

func (f *filler) fill(v reflect.Value) {
	if isLeaf(v.Type()) {
		if v.IsZero() {
			f.set(v)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		f.fill(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		f.elements(v)
	case reflect.Array:
		f.elements(v)
	case reflect.Map:
		f.fillMap(v)
	}
}

func (f *filler) elements(v reflect.Value) {
	for i := range v.Len() {
		f.fill(v.Index(i))
	}
}

func (f *filler) fillMap(v reflect.Value) {
	if v.Len() == 0 {
		v.Set(reflect.MakeMap(v.Type()))
		key := reflect.New(v.Type().Key()).Elem()
		f.fill(key)
		v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, key := range keys {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		f.fill(value)
		v.SetMapIndex(key, value)
	}
}

func (f *filler) set(v reflect.Value) {
	f.next += 1_000_003
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(f.date))
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
	case v.Type() == reflect.TypeFor[netip.AddrPort]():
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("192.0.2.1:2055")))
	case v.Type() == reflect.TypeFor[netip.Prefix]():
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text%d", f.next))
	case v.CanInt() && v.Type().Bits() == 64:
		v.SetInt(f.next)
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint() && v.Type().Bits() == 64:
		v.SetUint(uint64(f.next))
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(float64(f.next))
	}
}

// isLeaf reports whether values of a type are changed as one.
func isLeaf(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix]():
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return false
	}
	return true
}

// Each calls visit for every exported field below v, a pointer to a struct, while the
// field has another value: a counter is far higher, a flag the other one, a time an hour
// earlier. The path has the names of the Go fields; [] stands for an element of a slice,
// [key] for one of a map.
func Each(v any, visit func(path string, t reflect.Type)) {
	each(reflect.ValueOf(v).Elem(), "", func() {}, visit)
}

// each walks v. commit puts a value back into the map that it is a copy from.
func each(v reflect.Value, path string, commit func(), visit func(string, reflect.Type)) {
	if isLeaf(v.Type()) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		if change(v) {
			commit()
			visit(strings.TrimPrefix(path, "."), v.Type())
			v.Set(before)
			commit()
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch field := v.Type().Field(i); {
			case field.Anonymous:
				each(v.Field(i), path, commit, visit)
			case field.IsExported():
				each(v.Field(i), path+"."+field.Name, commit, visit)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			each(v.Elem(), path, commit, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			each(v.Index(i), path+"[]", commit, visit)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			put := func() { v.SetMapIndex(key, value); commit() }
			each(value, fmt.Sprintf("%s[%v]", path, key), put, visit)
		}
	}
}

// change gives a value another one; false for a kind that it does not know.
func change(v reflect.Value) bool {
	switch x := v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(x.Add(-time.Hour)))
		return true
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.99")))
		return true
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("192.0.2.99:99")))
		return true
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("198.51.100.0/24")))
		return true
	}
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "other")
	case v.CanInt() && v.Type().Bits() == 64:
		v.SetInt(v.Int() + 777_777_777)
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint() && v.Type().Bits() == 64:
		v.SetUint(v.Uint() + 777_777_777)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.CanFloat():
		v.SetFloat(v.Float() + 777_777_777)
	default:
		return false
	}
	return true
}

// IsNumber reports whether a type is of numbers or flags.
func IsNumber(t reflect.Type) bool {
	v := reflect.New(t).Elem()
	return v.CanInt() || v.CanUint() || v.CanFloat() || t.Kind() == reflect.Bool
}

// Exempt are paths of fields that need not be shown, or beginnings of such paths that end
// in a dot or a bracket, each with the reason.
type Exempt map[string]string

// find gives the entry that a path falls under.
func (e Exempt) find(path string) (key string, ok bool) {
	if _, ok := e[path]; ok {
		return path, true
	}
	for key := range e {
		if strings.HasSuffix(key, ".") || strings.HasSuffix(key, "[") {
			if strings.HasPrefix(path, key) {
				return key, true
			}
		}
	}
	return "", false
}

// Missing gives a complaint for each field below v whose change show does not show and
// that is not exempt, and for each exemption that no field needs. show is called for
// every field, and must give the same for the same v. only picks the types of fields;
// nil = all.
func Missing(v any, show func() string, exempt Exempt, only func(reflect.Type) bool) (complaints []string) {
	plain := show()
	needed := make(map[string]bool)
	shown, hidden := make(map[string]bool), make(map[string]bool)
	Each(v, func(path string, t reflect.Type) {
		if only != nil && !only(t) {
			return
		}
		if show() != plain {
			shown[path] = true
		} else {
			hidden[path] = true
		}
	})
	for path := range hidden {
		if shown[path] {
			continue // another element of the same slice shows it
		}
		if key, ok := exempt.find(path); ok {
			needed[key] = true
		} else {
			complaints = append(complaints, path)
		}
	}
	for key := range exempt {
		if !needed[key] {
			complaints = append(complaints, "exemption without need: "+key)
		}
	}
	slices.Sort(complaints)
	return complaints
}
