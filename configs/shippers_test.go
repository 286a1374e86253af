package configs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/goccy/go-yaml"
)

// stanzas reads a file of Splunk's: settings by stanza.
func stanzas(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	all, stanza := map[string]map[string]string{}, ""
	for line := range strings.SplitSeq(string(artifact(t, name)), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			stanza = strings.Trim(line, "[]")
			all[stanza] = map[string]string{}
			continue
		}
		key, value, ok := strings.Cut(line, " =")
		if !ok || stanza == "" || all[stanza][key] != "" {
			t.Fatalf("%s: %q", name, line)
		}
		all[stanza][key] = strings.TrimSpace(value)
	}
	return all
}

// TestSplunk does with native lines what Splunk does with the settings: it finds the time
// behind the prefix, whole and within its lookahead, and aliases name keys that are written.
// The line itself has it within the 128 characters that Splunk looks at without settings.
func TestSplunk(t *testing.T) {
	props := stanzas(t, "splunk/props.conf")["flowsnitch"]
	prefix := regexp.MustCompile(props["TIME_PREFIX"])
	layout := strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05", "%3N", "000").Replace(props["TIME_FORMAT"])
	for name, e := range samples() {
		text := line(t, form.Native, form.Options{}, e)
		at := prefix.FindStringIndex(text)
		if at == nil {
			t.Fatalf("%s: no time in %s", name, text)
		}
		stamp, _, _ := strings.Cut(text[at[1]:], `"`)
		got, err := time.Parse(layout, stamp)
		if err != nil || !got.Equal(e.Time) || len(stamp) > 32 || props["MAX_TIMESTAMP_LOOKAHEAD"] != "32" || at[1]+len(stamp) > 128 {
			t.Errorf("%s: %v %v, up to character %d", name, got, err, at[1]+len(stamp))
		}
	}
	allowed := schemaPaths(t)
	for key, value := range props {
		from, _, alias := strings.Cut(value, " AS ")
		if strings.HasPrefix(key, "FIELDALIAS-") != alias || alias && !allowed[from] {
			t.Errorf("%s = %s", key, value)
		}
	}
	blacklist := ""
	for stanza, input := range stanzas(t, "splunk/inputs.conf") {
		if !strings.HasPrefix(stanza, "monitor:///var/log/flowsnitch/hits.json") || input["sourcetype"] != "flowsnitch" {
			t.Errorf("%s: %v", stanza, input)
		}
		blacklist = input["blacklist"]
	}
	for file, want := range map[string]bool{"hits.json": false, "hits.json-20261121-101500": false, "hits.json-20261121-101500.gz": true,
		"hits.json.lock": true, "hits.json.canary": true, "hits.json.canary.new": true} {
		if got := regexp.MustCompile(blacklist).MatchString(file); got != want {
			t.Errorf("%s is left out: %v", file, got)
		}
	}
}

// TestVector holds that the parts are joined, and that the id and the time are keys that are
// written.
func TestVector(t *testing.T) {
	var doc struct {
		Sources map[string]struct {
			Type        string
			Include     []string
			Exclude     []string
			ReadFrom    string `yaml:"read_from"`
			Fingerprint struct{ Strategy string }
		}
		Transforms map[string]struct {
			Type, Source   string
			Inputs         []string
			DropOnError    bool `yaml:"drop_on_error"`
			RerouteDropped bool `yaml:"reroute_dropped"`
		}
		Sinks map[string]struct {
			Type, Mode string
			Inputs     []string
			Endpoints  []string
			IDKey      string `yaml:"id_key"`
			Bulk       struct{ Action, Index string }
		}
	}
	if err := yaml.UnmarshalWithOptions(artifact(t, "vector/flowsnitch.yaml"), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	allowed := schemaPaths(t)
	for name, s := range doc.Transforms {
		if s.Type != "remap" || len(s.Inputs) != 1 || doc.Sources[s.Inputs[0]].Type != "file" {
			t.Errorf("%s: %+v", name, s)
		}
		for _, m := range regexp.MustCompile(`\."([^"]+)"`).FindAllStringSubmatch(s.Source, -1) {
			if !allowed[m[1]] {
				t.Errorf("%s is never written", m[1])
			}
		}
	}
	for name, s := range doc.Sinks {
		if len(s.Inputs) != 1 || doc.Transforms[s.Inputs[0]].Type == "" || !allowed[s.IDKey] {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestFluentBit: likewise, and the time is read with the format that it is written in.
func TestFluentBit(t *testing.T) {
	type settings map[string]any
	var doc struct {
		Service  settings
		Parsers  []settings
		Pipeline struct{ Inputs, Outputs []settings }
	}
	if err := yaml.UnmarshalWithOptions(artifact(t, "fluent-bit/flowsnitch.yaml"), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	parser, input, output := doc.Parsers[0], doc.Pipeline.Inputs[0], doc.Pipeline.Outputs[0]
	if parser["name"] != input["parser"] || input["tag"] != output["match"] {
		t.Errorf("%v, %v, %v", parser, input, output)
	}
	allowed := schemaPaths(t)
	for _, key := range []any{parser["time_key"], output["id_key"], output["time_key"]} {
		if !allowed[key.(string)] {
			t.Errorf("%v is never written", key)
		}
	}
	layout := strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05", "%L", "000").Replace(parser["time_format"].(string))
	if layout != "2006-01-02T15:04:05.000Z" {
		t.Errorf("time format %v", parser["time_format"])
	}
}

// TestLogstash holds that brackets match, that topics and index are ours, and that the id is
// that of the form it is for.
func TestLogstash(t *testing.T) {
	text := ""
	for line := range strings.Lines(string(artifact(t, "logstash/flowsnitch.conf"))) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			text += line
		}
	}
	var open []rune
	for _, r := range text {
		switch r {
		case '{', '[':
			open = append(open, r)
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != r-2 {
				t.Fatalf("%c does not match", r)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) != 0 {
		t.Errorf("not closed: %s", string(open))
	}
	id := regexp.MustCompile(`document_id => "%\{\[(\w+)\]\[(\w+)\]\}"`).FindStringSubmatch(text)
	if id == nil || !written(t, form.ECS)[strings.Join(id[1:], ".")] {
		t.Errorf("document_id %v", id)
	}
	for _, want := range []string{`"flowsnitch.hits", "flowsnitch.alerts"`, `index => "logs-flowsnitch.hit-default"`, `codec => json`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if keys := regexp.MustCompile(`(?m)^\w+`).FindAllString(text, -1); !slices.Equal(keys, []string{"input", "filter", "output"}) {
		t.Errorf("sections %v", keys)
	}
}
