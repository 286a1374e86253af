package secret_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/goccy/go-yaml"
)

// TestHidden: no way to print a text shows it, and one that is not set shows nothing.
func TestHidden(t *testing.T) {
	v := struct{ Key, None secret.Text }{Key: "s3cret"}
	asYAML, errYAML := yaml.Marshal(v)
	asJSON, errJSON := json.Marshal(v)
	if errYAML != nil || errJSON != nil {
		t.Fatal(errYAML, errJSON)
	}
	for _, text := range []string{
		string(asYAML), string(asJSON), fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v),
		v.Key.String(), fmt.Sprintf("%q", v.Key), fmt.Sprint(&v),
	} {
		if strings.Contains(text, "s3cret") || strings.Count(text, secret.Hidden) != 1 {
			t.Errorf("got %s", text)
		}
	}
	var back struct{ Key secret.Text }
	if err := yaml.Unmarshal([]byte("key: s3cret"), &back); err != nil || back.Key != "s3cret" {
		t.Errorf("%q, %v", string(back.Key), err)
	}
}

// TestReveal: a file holds one line; blanks around it count for passwords alone.
func TestReveal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for _, tt := range []struct{ content, plain, exact, wrong string }{
		{"key", "key", "key", ""},
		{"key\r\n", "key", "key", ""},
		{" a key \n\n", "a key", " a key ", ""},
		{strings.Repeat("k", 64<<10), strings.Repeat("k", 64<<10), strings.Repeat("k", 64<<10), ""},
		{"", "", "", "is empty"},
		{"\r\n\n", "", "", "is empty"},
		{"one\ntwo\n", "", "", "must hold one line"},
		{"one\rtwo", "", "", "must hold one line"},
		{"k\x00", "", "", "must hold one line"},
		{strings.Repeat("k", 64<<10) + "\n", "", "", "has more than 65536 bytes"},
	} {
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		plain, err := secret.Text("").Reveal(file)
		exact, errExact := secret.Text("").RevealExact(file)
		if plain != tt.plain || exact != tt.exact {
			t.Errorf("%.20q: %.20q and %.20q", tt.content, plain, exact)
		}
		for _, err := range []error{err, errExact} {
			if (err == nil) != (tt.wrong == "") || err != nil && err.Error() != file+": "+tt.wrong {
				t.Errorf("%.20q: %v, want %q", tt.content, err, tt.wrong)
			}
		}
	}
	if _, err := secret.ReadFile(filepath.Join(file, "none")); err == nil {
		t.Error("no error for a file that is not there")
	}
	for _, reveal := range []func(string) (string, error){secret.Text(" s ").Reveal, secret.Text(" s ").RevealExact} {
		if s, err := reveal(""); s != " s " || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	}
}
