package feeds

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
)

// jsonShape are the paths of keys at the start of a JSON document, such as
// "results[].id"; string values of keys named type are added as "type=bundle".
type jsonShape map[string]bool

// textItems marks the path of a list that has texts as items.
const textItems = "$"

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
	word, isText := t.(string)
	switch {
	case isText && (path == "type" || strings.HasSuffix(path, ".type")):
		s.add(path + "=" + word)
	case isText && strings.HasSuffix(path, "[]"):
		s.add(path + textItems)
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
			err = jsonwalk.SkipValue(dec)
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
			err = jsonwalk.SkipValue(dec)
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

// detectJSON names the format by the keys at the start of the document. The most
// distinctive ones come first: an export of indicators has a type, as STIX has. What has
// none of the marks is json: a list of addresses, or the parser reports where some are.
func detectJSON(head []byte) string {
	s := shapeOf(head)
	for _, f := range jsonMarks() {
		if s.any(f.paths...) && !s.any(f.not...) {
			return f.format
		}
	}
	if len(s) == 0 || len(s) == 1 && s["[]"] && isEmptyList(head) {
		return "stix" // {} is the answer of a TAXII server with nothing new
	}
	return "json"
}

// isEmptyList recognises [] from a list of items that leave no mark.
func isEmptyList(head []byte) bool {
	return len(bytes.TrimLeft(bytes.TrimLeft(head, document.Space), "["+document.Space+"]")) == 0
}

type jsonMark struct {
	format string
	paths  []string
	not    []string // paths that other documents have beside these
}

func jsonMarks() []jsonMark {
	return []jsonMark{
		{"drop-json", []string{"cidr", "asn", "type=metadata"}, nil},
		{"threatfox-json", []string{"query_status", "data[].ioc", "[].ioc"}, nil},
		{"abuseipdb-json", []string{"data[].ipAddress", "meta.generatedAt"}, nil},
		{"feodo-json", []string{"[].ip_address"}, nil},
		{"isc-json", []string{"[].ip"}, nil},
		{"misp", []string{"Event", "response", "response[].Event", "[].Event", "Attribute", "Object", "Orgc", "threat_level_id", "[].Attribute"}, nil},
		{"misp-warn", []string{"list", "matching_attributes"}, nil},
		{"otx", []string{
			"results[].indicators", "results[].author_name", "results[].name", "[].indicators", "[].author_name", "indicators",
			"author_name", "prefetch_pulse_ids",
		}, []string{"indicators[]" + textItems}},
		{"otx-export", []string{"results[].indicator", "results[]"}, []string{"results[]" + textItems}},
		{"abuseipdb-json", []string{"data[]"}, []string{"data[]" + textItems}},
		{"stix", []string{
			"objects", "type=bundle", "more", "[].spec_version", "[].pattern", "[].type=identity", "[].type=indicator",
			"spec_version",
		}, []string{"objects[]" + textItems}},
	}
}
