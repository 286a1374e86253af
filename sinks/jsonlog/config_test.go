package jsonlog

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestConfigValidate(t *testing.T) {
	if err := configAt("hits.json").Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"path: is missing": func(c *Config) { c.Path = "" },
		"path: \"x/\"":     func(c *Config) { c.Path = "x/" },
		"rotate:":          func(c *Config) { c.Rotate = "weekly" },
		"max_size:":        func(c *Config) { c.MaxSize = 1 << 20 },
		"keep:":            func(c *Config) { c.Keep = 0 },
		"mode: 0440":       func(c *Config) { c.Mode = 0o440 },
		"mode: 4640":       func(c *Config) { c.Mode = 0o4640 },
		"group: ":          func(c *Config) { c.Group = "no-such-group" },
	} {
		cfg := configAt("hits.json")
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	none := configAt("hits.json")
	none.Rotate, none.MaxSize = RotateNone, 0
	if err := none.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFileModeInYAML(t *testing.T) {
	for _, text := range []string{"0640", "640", "0o640", `"0640"`, "'640' # of the reader"} {
		cfg := DefaultConfig()
		cfg.Mode = 0
		if err := yaml.UnmarshalWithOptions([]byte("mode: "+text), &cfg, yaml.Strict()); err != nil || cfg.Mode != 0o640 {
			t.Errorf("%s: %v, %v", text, cfg.Mode, err)
		}
	}
	for _, text := range []string{"0980", "rw-r-----", "-1", "[]"} {
		var cfg Config
		if err := yaml.Unmarshal([]byte("mode: "+text), &cfg); err == nil {
			t.Errorf("%s is taken as %v", text, cfg.Mode)
		}
	}
	b, err := yaml.Marshal(configAt("hits.json"))
	if err != nil || !strings.Contains(string(b), "mode: 0640\n") {
		t.Errorf("got %s, %v", b, err)
	}
}
