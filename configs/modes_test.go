package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
)

// TestExposed: files with secrets that others can read, or that they can write, are named.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := fmt.Sprintf(`
state_dir: /srv/x
intel:
  feeds:
    - {name: a, url: "https://a.example/", api_key_file: %s, ca_file: %s}
    - {name: b, url: "https://b.example/", cert_file: %s, key_file: %s}
    - {name: c, url: "https://c.example/", api_key_file: %s}
web: {listen: "127.0.0.1:0", token_file: %s}
sinks: [{console: {}}]
`, put("read", 0o644), put("ca", 0o644), put("cert", 0o644), put("key", 0o660), put("good", 0o640), put("token", 0o602))
	c, err := configs.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(c.Exposed(put("f.yml", 0o666)), "\n")
	for _, want := range []string{"intel.feeds[0].api_key_file: " + dir + "/read has secrets in it and mode 0644: chmod 0640 ", "intel.feeds[1].key_file: ", "web.token_file: "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 3 {
		t.Errorf("%d texts:\n%s", n, got)
	}
	c, err = configs.Parse("f", []byte(strings.Replace(text, "name: c,", "name: c, headers: [{name: X, value: secret}],", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Exposed(filepath.Join(dir, "f.yml")), "\n"); !strings.Contains(got, "configuration: "+dir+"/f.yml has secrets in it and mode 0666") {
		t.Errorf("the configuration is not named in\n%s", got)
	}
}
