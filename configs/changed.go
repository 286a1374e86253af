package configs

import (
	"fmt"
	"reflect"
)

// Changed gives the paths of the keys in which two configurations differ, as in
// listen[0].receive_buffer, in the order of the reference. A list whose length differs
// counts as one key.
func Changed(a, b *Config) []string {
	return changedBlocks(changed(nil, "", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()), a, b)
}

func changed(keys []string, key string, a, b reflect.Value) []string {
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		return changed(keys, key, a.Elem(), b.Elem())
	case a.Kind() == reflect.Struct && hasKeys(a.Type()):
		for i := range a.NumField() {
			if name := a.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
				keys = changed(keys, join(key, name), a.Field(i), b.Field(i))
			}
		}
		return keys
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && hasKeys(pointed(a.Type().Elem())):
		for i := range a.Len() {
			keys = changed(keys, fmt.Sprintf("%s[%d]", key, i), a.Index(i), b.Index(i))
		}
		return keys
	}
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		keys = append(keys, key)
	}
	return keys
}

// pointed gives the type that a pointer points to, and any other as it is.
func pointed(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// hasKeys reports whether a type is a block of keys, and not a value such as an address.
func hasKeys(t reflect.Type) bool { return t.Kind() == reflect.Struct && len(fieldsOf(t)) > 0 }
