package feeds

import (
	"bytes"
	"encoding/json"
	"strings"
)

// jsonShape are the paths of keys at the start of a JSON document, such as
// "results[].id"; string values of keys named type are added as "type=bundle".
type jsonShape map[string]bool

// Limits of the look at a document's shape.
const (
	maxShapeDepth = 4
	maxShapePaths = 256
)

func shapeOf(head []byte) jsonShape {
	s := make(jsonShape)
	dec := json.NewDecoder(bytes.NewReader(head))
	// The head is cut somewhere: what came before the error counts.
	_ = s.value(dec, "", 0)
	return s
}

// value records the shape of the next value, the keys of which lie under path.
func (s jsonShape) value(dec *json.Decoder, path string, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return s.object(dec, path, depth)
	case json.Delim('['):
		return s.array(dec, path+"[]", depth)
	}
	if word, ok := t.(string); ok && (path == "type" || strings.HasSuffix(path, ".type")) {
		s.add(path + "=" + word)
	}
	return nil
}

func (s jsonShape) object(dec *json.Decoder, path string, depth int) error {
	if path != "" {
		path += "."
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if depth < maxShapeDepth {
			s.add(path + name)
			err = s.value(dec, path+name, depth+1)
		} else {
			err = skipValue(dec)
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func (s jsonShape) array(dec *json.Decoder, path string, depth int) error {
	s.add(path)
	for dec.More() {
		var err error
		if depth < maxShapeDepth {
			err = s.value(dec, path, depth+1)
		} else {
			err = skipValue(dec)
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func (s jsonShape) add(path string) {
	if len(s) < maxShapePaths {
		s[path] = true
	}
}

// any reports whether one of the paths was seen.
func (s jsonShape) any(paths ...string) bool {
	for _, p := range paths {
		if s[p] {
			return true
		}
	}
	return false
}

// detectJSON names the format by the keys at the start of the document.
func detectJSON(head []byte) (string, bool) {
	s := shapeOf(head)
	switch {
	case s.any("cidr", "asn", "type=metadata"):
		return "drop-json", true
	}
	return "", false
}
