package jsonwalk

import "encoding/json"

// A text is a JSON string, number or boolean as a string: feeds change their
// minds about types. Null, arrays and objects are the empty text.
type Text string

// UnmarshalJSON never fails on valid JSON.
func (t *Text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch b[0] {
	case 'n', '{', '[':
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(s)
	default:
		*t = Text(b)
	}
	return nil
}

// yes reads the truth in its spellings: true, "true", 1, "1".
func (t Text) Yes() bool { return t == "1" || t == "true" || t == "True" }

// no reads an explicit false; an absent value is neither yes nor no.
func (t Text) No() bool { return t == "0" || t == "false" || t == "False" }

// words is a list of texts; anything else is the empty list.
type Words []Text

// UnmarshalJSON never fails on valid JSON.
func (w *Words) UnmarshalJSON(b []byte) error {
	*w = nil
	if b[0] != '[' {
		return nil
	}
	var list []Text
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*w = list
	return nil
}
