package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

// TestShippedRules: what is printed are the rules that run, as a file that can be edited.
func TestShippedRules(t *testing.T) {
	b, err := Artifact("rules")
	if err != nil {
		t.Fatal(err)
	}
	printed, bad := rule.Read("printed", b)
	shipped := rulebook.Shipped()
	if len(bad) > 0 || len(printed) != len(shipped) {
		t.Fatalf("%d rules printed, %d shipped, %v", len(printed), len(shipped), bad)
	}
	one, err := Artifact("rules/swarm.yml")
	if err != nil || !strings.Contains(string(b), string(one)) || strings.Contains(string(b), "package rules") {
		t.Errorf("%v\n%s", err, b)
	}
	edge, err := LoadProfile("", "edge")
	if err != nil || edge.Rules.MaxGroups != 15_000 || edge.Rules.MaxBytes != 12e6 || !edge.Rules.Shipped || len(edge.Rules.Files) != 1 {
		t.Errorf("edge: %+v, %v", edge.Rules, err)
	}
}

// TestCheckRules: every bad rule is named, with its place.
func TestCheckRules(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own.yml")
	if err := os.WriteFile(own, []byte("title: x\nname: a\nwhere: {colour: red}\n---\ntitle: x\nname: b\nwhere: {direction: inbound}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("rules:\n  files: [%q, %q]\n  disable: [swram]\n", own, filepath.Join(dir, "gone.yml"))
	c, err := Parse("f.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range c.CheckKeys("f.yml") {
		got = append(got, e.Error())
	}
	want := []string{own + `:3:9: unknown key "colour"`, "f.yml:2:10: rules.files: stat ", `f.yml:3:13: rules.disable[0]: there is no rule "swram"`, own + ":5:1: rule b: it raises no alerts"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
	if _, err := Parse("f.yml", []byte("rules:\n  max_groups: 5\n")); err == nil || !strings.HasPrefix(err.Error(), "f.yml:2:15: rules.max_groups: 5 is not valid; use 1000 to") {
		t.Error(err)
	}
	if _, err := Parse("f.yml", []byte("rules:\n  shiped: true\n")); err == nil || !strings.Contains(err.Error(), "unknown key; allowed are disable, files, max_bytes, max_groups, shipped") {
		t.Error(err)
	}
}
