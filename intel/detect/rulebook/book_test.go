package rulebook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put writes a file of rules.
func put(t *testing.T, dir, name string, rules ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(rules, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func count(name string, min int) string {
	return fmt.Sprintf("title: own\nname: %s\ncorrelation: {type: event_count, group-by: [offender, local, site], timespan: 10m, condition: {gte: %d}}\n", name, min)
}

// state gives the entry of a rule as text.
func state(b *Book, name string) string {
	for _, e := range b.Entries {
		if e.Name == name {
			return fmt.Sprintf("shipped=%t off=%q", e.Shipped, e.Off)
		}
	}
	return "none"
}

func on(b *Book, name string) bool {
	for _, r := range b.On() {
		if r.Name == name {
			return true
		}
	}
	return false
}

func TestShipped(t *testing.T) {
	b := Load(Config{Shipped: true})
	if len(b.Bad) > 0 || len(b.Entries) != 24 || len(b.On()) != 15 || state(b, "swarm") != `shipped=true off=""` {
		t.Errorf("%v, %d rules", b.Bad, len(b.Entries))
	}
	if b := Load(Config{}); len(b.Entries)+len(b.Bad) != 0 {
		t.Error(b)
	}
}

// TestOwn: own rules are beside the shipped ones, replace those of the same name, and a bad
// one takes nothing else away.
func TestOwn(t *testing.T) {
	dir := t.TempDir()
	a := put(t, dir, "a.yml", count("mine", 50), count("contact_pair", 99))
	bad := put(t, dir, "b.yml", count("other", 1), count("good", 5))
	put(t, dir, "c.txt", "hello")
	b := Load(Config{Shipped: true, Files: []string{filepath.Join(dir, "*.yml"), a, filepath.Join(dir, "none*.yml"), "/nowhere/*.yml"}})
	if len(b.Bad) != 1 || !strings.HasPrefix(b.Bad[0].Error(), bad+":3:") {
		t.Errorf("%q", b.Bad)
	}
	if !on(b, "mine") || !on(b, "good") || !on(b, "swarm") || len(b.Entries) != 26 {
		t.Errorf("%d rules", len(b.Entries))
	}
	if state(b, "contact_pair") != `shipped=false off=""` {
		t.Error(state(b, "contact_pair"))
	}
	for _, r := range b.On() {
		if r.Name == "contact_pair" && r.Correlation.Condition.Min != 99 {
			t.Error("the shipped rule was not replaced")
		}
	}
	b = Load(Config{Files: []string{filepath.Join(dir, "gone.yml"), dir}})
	if len(b.Bad) != 2 || !strings.Contains(b.Bad[0].Error(), "no such file") || !strings.Contains(b.Bad[1].Error(), "not a regular file") {
		t.Errorf("%q", b.Bad)
	}
	if b = Of(a); len(b.Entries) != 2 || len(b.Bad) != 0 {
		t.Errorf("%+v", b)
	}
	both := "title: x\nname: both\ncorrelation: {type: temporal, rules: [contact_pair, services_pair], group-by: [offender, local], timespan: 1h}\n"
	b = Of(put(t, dir, "d.yml", both))
	if len(b.Entries) != 3 || len(b.Bad) != 0 || state(b, "both") != `shipped=false off=""` || state(b, "contact_pair") != `shipped=true off=""` {
		t.Errorf("%+v", b)
	}
	for _, r := range b.On() {
		if r.Generate != (r.Name == "both") {
			t.Errorf("%s: generate is %t", r.Name, r.Generate)
		}
	}
}

// TestLogins: rules over logins are off, and whoever turns one on gets one error for it.
func TestLogins(t *testing.T) {
	b := Load(Config{Shipped: true})
	for _, name := range []string{"fail_source", "fail_pair", "fail_account", "fail_account_pair", "fail_dict", "fail_total", "after_fail", "after_fail_failures", "after_fail_login"} {
		if got := state(b, name); got != `shipped=true off="there are no logins yet"` {
			t.Errorf("%s: %s", name, got)
		}
	}
	dir := t.TempDir()
	text, err := os.ReadFile("../../../configs/rules/after_fail.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{
		strings.ReplaceAll(string(text), "disabled: true", "disabled: false"), // all three
		strings.Replace(string(text), "disabled: true", "disabled: false", 1), // one alone
	} {
		path := put(t, dir, "own.yml", own)
		for _, b := range []*Book{Load(Config{Shipped: true, Files: []string{path}}), Of(path)} {
			if len(b.Bad) != 1 || b.Bad[0].Error() != path+":1:1: rule after_fail: over: logins: flowsnitch reads no logins yet, so it would never fire; set disabled: true, or leave the rule out" {
				t.Errorf("%q", b.Bad)
			}
			if on(b, "after_fail") || on(b, "after_fail_login") || state(b, "after_fail") != `shipped=false off="there are no logins yet"` {
				t.Error(state(b, "after_fail"))
			}
		}
	}
	if b := Of(put(t, dir, "off.yml", string(text))); len(b.Bad) != 0 {
		t.Errorf("%q", b.Bad)
	}
}

func TestDisable(t *testing.T) {
	b := Load(Config{Shipped: true, Disable: []string{"answered_after", "swarm", "swram"}})
	if len(b.Bad) != 1 || b.Bad[0].Error() != `rules.disable[2]: there is no rule "swram"` {
		t.Errorf("%q", b.Bad)
	}
	for name, want := range map[string]string{
		"swarm": "disabled in the configuration", "answered_after": "disabled in the configuration",
		"answered_after_tries": "no rule that is on refers to it", "lockstep": "",
	} {
		if got := state(b, name); got != fmt.Sprintf("shipped=true off=%q", want) || on(b, name) != (want == "") {
			t.Errorf("%s: %s", name, got)
		}
	}
	b = Load(Config{Shipped: true, Disable: []string{"answered_after_tries"}})
	if len(b.Bad) != 0 || state(b, "answered_after") != `shipped=true off="answered_after_tries, which it refers to, is off"` || on(b, "answered_after_answer") {
		t.Errorf("%q, %s", b.Bad, state(b, "answered_after"))
	}
	dir := t.TempDir()
	path := put(t, dir, "a.yml", count("mine", 50)+"disabled: true\n")
	if b = Of(path); state(b, "mine") != `shipped=false off="disabled in its file"` || len(b.On()) != 0 {
		t.Error(state(b, "mine"))
	}
}

func TestTooMany(t *testing.T) {
	var all []string
	for i := range 700 {
		all = append(all, count(fmt.Sprint("r", i), 5))
	}
	dir := t.TempDir()
	one := put(t, dir, "a.yml", all...)
	for i := range all {
		all[i] = strings.Replace(all[i], "name: r", "name: s", 1)
	}
	b := Of(one, put(t, dir, "b.yml", all...))
	if len(b.On()) != 1000 || len(b.Bad) != 1 || !strings.Contains(b.Bad[0].Error(), "1400 rules are more than 1000") {
		t.Errorf("%d rules, %v", len(b.On()), b.Bad)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"max_groups: 10 is not valid; use 1000 to 10000000": func(c *Config) { c.MaxGroups = 10 },
		"max_bytes: ":                            func(c *Config) { c.MaxBytes = 1000 },
		"files[0]: \"/etc/[.yml\" is not a path": func(c *Config) { c.Files = []string{"/etc/[.yml"} },
		"files[1]: \"\" is not a path":           func(c *Config) { c.Files = []string{"a", ""} },
		"files: 101 patterns":                    func(c *Config) { c.Files = make([]string, 101) },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
