package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
)

// TestTemplateFile: 'config check' makes documents with the template of a webhook and names
// the place of its mistake; the file is no secret, headers and keys are.
func TestTemplateFile(t *testing.T) {
	dir := t.TempDir()
	template, path := filepath.Join(dir, "hook.tmpl"), filepath.Join(dir, "f.yml")
	text := "sinks:\n  - webhook:\n      kind: template\n      template_file: " + template + "\n      url: https://hooks.example.net/x\n      headers: [\"X-Key: s3cret\"]\n      routing_key: s3cret\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		`{"text": {{json .Title}}}`:                 "",
		`{"text": "{{(index .Notices 0).Reason}}"}`: "f.yml:4:22: sinks[0].webhook.template_file: template " + template + " makes a document that is not JSON; put {{json .Field}} where texts stand",
		`{{.Nope}}`: "can't evaluate field Nope",
		"":          "hook.tmpl: is empty",
	} {
		if err := os.WriteFile(template, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		errs := cfg.CheckKeys("f.yml")
		if want == "" && len(errs) > 0 || want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), want)) {
			t.Errorf("%s: got %v, want %s", content, errs, want)
		}
	}
	if said := cfg.Exposed(path); len(said) > 0 {
		t.Errorf("exposed: %q", said)
	}
	if b, err := configs.Marshal(cfg); err != nil || strings.Contains(string(b), "s3cret") {
		t.Errorf("%s, %v", b, err)
	}
}
