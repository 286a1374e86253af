package feeds

import (
	"encoding/json"
	"errors"
)

// maxJSONDepth is how deep values may be nested.
const maxJSONDepth = 1000

var errJSONDepth = errors.New("values nested deeper than 1,000")

// A text is a JSON string, number or boolean as a string: feeds change their
// minds about types. Null, arrays and objects are the empty text.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch b[0] {
	case 'n', '{', '[':
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	default:
		*t = text(b)
	}
	return nil
}

// skipValue reads over one value, whatever its size.
func skipValue(dec *json.Decoder) error {
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
		if depth > maxJSONDepth {
			return errJSONDepth
		}
		if depth == 0 {
			return nil
		}
	}
}
