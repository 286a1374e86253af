package eventtest

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
)

// Paths gives all keys of a document as dotted paths, those of array elements
// together, and fails for a key that an object has twice.
func Paths(t testing.TB, line []byte) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(line))
	var value func(path string)
	value = func(path string) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				key, _ := dec.Token()
				name := key.(string)
				if seen[name] {
					t.Errorf("key %s.%s twice", path, name)
				}
				seen[name] = true
				all[path+"."+name] = true
				value(path + "." + name)
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for dec.More() {
				value(path)
			}
			_, _ = dec.Token()
		case nil, "":
			t.Errorf("%s is empty", path)
		}
	}
	value("")
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more than one document")
	}
	return all
}
