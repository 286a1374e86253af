package choice

import (
	"net/url"
	"reflect"
	"testing"
)

func TestQuery(t *testing.T) {
	o := Options{Feeds: []string{"a", "b&c"}, Categories: []string{"c2"}, MinScore: 7, Family: 6, Max: 9, MaxTLP: "amber+strict", Name: "x_1", NoTime: true, URLs: true}
	q, err := url.ParseQuery(o.Query().Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse(q); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Parse(nil); err != nil || !reflect.DeepEqual(got, Default()) {
		t.Errorf("%+v, %v", got, err)
	}
	for query, want := range map[string]string{
		"min-score=101": "min-score: 101 is not valid; 0 to 100 is allowed", "min-score=x": `min-score: "x" is not a whole number`,
		"family=5": "family: 5 is not valid; use 4 or 6", "max=0": "max: 0 is not valid; 1 to 5000000 is allowed",
		"max-tlp=pink": `max-tlp: "pink" is not valid; use clear, green, amber, amber+strict, red`, "no-time=perhaps": `no-time: "perhaps" is not valid; use true or false`,
		"name=a;b": "", "name=": `name: "" is not valid; a letter and up to 19 letters, digits and _ are allowed`, "name=1": `name: "1" is not valid; a letter and up to 19 letters, digits and _ are allowed`,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			continue // nothing to read
		}
		if _, err := Parse(q); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}
