//go:build integration

package readers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/goccy/go-yaml"
)

// TestSettings: parsers of other projects read the settings for Logstash and Splunk. Neither
// Logstash nor Fluent Bit itself is in a registry, and what parses Fluent Bit's files there
// knows the old form only; its file is held by a test in configs.
func TestSettings(t *testing.T) {
	snake := python(t, "logstash-pipeline-parser==0.0.3", "addonfactory-splunk-conf-parser-lib==1.0.0")
	const logstash = `
import sys
from logstash_pipeline_parser import Pipeline
print(Pipeline(sys.stdin.read()).parse())
`
	const splunk = `
import sys
from addonfactory_splunk_conf_parser_lib import TABConfigParser
p = TABConfigParser()
p.read_file(sys.stdin)
for stanza in p.sections():
    for key, value in p.items(stanza):
        print(stanza, key, value, sep="\t")
`
	for _, tt := range []struct{ name, script, want string }{
		{"logstash/flowsnitch.conf", logstash, "flowsnitch.alerts"},
		{"splunk/props.conf", splunk, "flowsnitch\tTIME_PREFIX\t\"@timestamp\":\"\n"},
		{"splunk/inputs.conf", splunk, "\tsourcetype\tflowsnitch\n"},
	} {
		artifact, err := configs.Artifact(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if out := run(t, artifact, snake, "-c", tt.script); !strings.Contains(out, tt.want) {
			t.Errorf("%s: no %q in\n%s", tt.name, tt.want, out)
		}
	}
}

// TestVector: Vector's own compiler takes the program of the transform, and its runtime makes
// of every line that we write the same document with a time, and of nothing else.
func TestVector(t *testing.T) {
	snake := python(t, "vrl-python==0.1.0")
	artifact, err := configs.Artifact("vector/flowsnitch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Transforms map[string]struct{ Source string }
	}
	if err := yaml.Unmarshal(artifact, &doc); err != nil {
		t.Fatal(err)
	}
	source := doc.Transforms["flowsnitch_events"].Source
	var in []string
	for _, e := range samples() {
		in = append(in, strings.TrimSpace(string(event.AppendJSON(nil, &e))))
	}
	in = append(in, "no line of ours")
	const script = `
import json, sys
import vrl_python
program, *lines = json.load(sys.stdin)
problem = vrl_python.VRLRuntime.check_syntax(program)
if problem:
    sys.exit(str(problem))
def number(text):  # integers are signed in VRL
    return int(text) if int(text) < 1 << 63 else float(text)
runtime = vrl_python.VRLRuntime()
for line in lines:
    try:
        event = runtime.execute(program, {"message": line}).processed_event
        time = event.pop("timestamp")
        same = event == json.loads(line, parse_int=number) and str(time)[:19].replace(" ", "T") == event["@timestamp"][:19]
        print("same" if same else "other: %s %s" % (time, event))
    except RuntimeError:
        print("rejected")
`
	stdin, err := json.Marshal(append([]string{source}, in...))
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(run(t, stdin, snake, "-c", script)), "\n")
	if len(out) != len(in) {
		t.Fatalf("%d results of %d lines", len(out), len(in))
	}
	for i, got := range out {
		want := "same"
		if i == len(in)-1 {
			want = "rejected"
		}
		if got != want {
			t.Errorf("%s: %s", in[i], got)
		}
	}
	t.Logf("%d lines compiled and run", len(in))
}

// TestSplunk: Splunk's own AppInspect has nothing against an app with the two files.
func TestSplunk(t *testing.T) {
	snake := python(t, "splunk-appinspect==4.3.1")
	dir := t.TempDir()
	files := map[string]string{
		"default/app.conf": "[install]\nis_configured = false\n\n[package]\nid = flowsnitch\ncheck_for_updates = false\n\n" +
			"[launcher]\nauthor = flowsnitch\ndescription = hits of flowsnitch\nversion = 1.0.0\n\n[ui]\nis_visible = false\nlabel = flowsnitch\n",
		"metadata/default.meta": "[]\naccess = read : [ * ], write : [ admin, sc_admin ]\nexport = system\n",
	}
	for _, name := range []string{"props.conf", "inputs.conf"} {
		artifact, err := configs.Artifact("splunk/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files["default/"+name] = string(artifact)
	}
	for name, text := range files {
		path := filepath.Join(dir, "flowsnitch", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, nil, "tar", "-czf", filepath.Join(dir, "flowsnitch.tgz"), "-C", dir, "flowsnitch")
	report := filepath.Join(dir, "report.json")
	run(t, nil, filepath.Join(filepath.Dir(snake), "splunk-appinspect"), "inspect", filepath.Join(dir, "flowsnitch.tgz"), "--output-file", report)
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Summary map[string]int
		Reports []struct {
			Groups []struct {
				Checks []struct {
					Name, Result string
					Messages     []struct{ Message string }
				}
			}
		}
	}
	if err := json.Unmarshal(b, &result); err != nil {
		t.Fatal(err)
	}
	for _, r := range result.Reports {
		for _, g := range r.Groups {
			for _, c := range g.Checks {
				if c.Result == "failure" || c.Result == "error" {
					t.Errorf("%s: %s %v", c.Name, c.Result, c.Messages)
				}
			}
		}
	}
	if result.Summary["success"] == 0 {
		t.Errorf("nothing was checked: %v", result.Summary)
	}
	t.Logf("%v", result.Summary)
}
