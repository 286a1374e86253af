package configs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

func artifact(t *testing.T, name string) []byte {
	t.Helper()
	b, err := configs.Artifact(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestArtifacts(t *testing.T) {
	for _, name := range configs.Artifacts() {
		if b := artifact(t, name); len(b) == 0 || b[len(b)-1] != '\n' || bytes.Contains(b, []byte("\r")) {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	both := append(append(artifact(t, "ossec/flowsnitch_decoder.xml"), '\n'), artifact(t, "ossec/flowsnitch_rules.xml")...)
	if got := artifact(t, "ossec"); !bytes.Equal(got, both) {
		t.Errorf("ossec has %d bytes, its files %d", len(got), len(both))
	}
	for _, name := range []string{"", ".", "..", "ossec/", "nope", "../go.mod"} {
		if _, err := configs.Artifact(name); err == nil || !strings.Contains(err.Error(), "allowed are clickhouse, clickhouse/flowsnitch.sql, ") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// jsonPaths gives the dotted paths of all values but objects, elements of arrays
// together.
func jsonPaths(t *testing.T, doc string) map[string]bool {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	all := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
		case []any:
			for _, value := range v {
				walk(path, value)
			}
		default:
			all[path] = true
		}
	}
	walk("", v)
	return all
}

// written gives the paths that the samples have in a form.
func written(t *testing.T, format string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, e := range samples() {
		maps.Copy(all, jsonPaths(t, line(t, format, form.Options{}, e)))
	}
	return all
}

func comparePaths(t *testing.T, what string, said, written map[string]bool) {
	t.Helper()
	for path := range written {
		if !said[path] {
			t.Errorf("%s: %s is written and not in there", what, path)
		}
	}
	for path := range said {
		if !written[path] {
			t.Errorf("%s: %s is in there and never written", what, path)
		}
	}
}

// schemaPaths gives the paths that a JSON schema allows.
func schemaPaths(t *testing.T) map[string]bool {
	t.Helper()
	type schema struct {
		Ref        string `json:"$ref"`
		Properties map[string]json.RawMessage
		Items      json.RawMessage
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	all := map[string]bool{}
	var root schema
	var walk func(path string, raw json.RawMessage)
	walk = func(path string, raw json.RawMessage) {
		var s schema
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		if def, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
			walk(path, root.Defs[def])
			return
		}
		switch {
		case s.Items != nil:
			walk(path, s.Items)
		case s.Properties != nil:
			for key, value := range s.Properties {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
		default:
			all[path] = true
		}
	}
	raw := artifact(t, "hit.schema.json")
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	walk("", raw)
	return all
}

// TestSchemaIsComplete holds that the schema has every key that is written, and no
// other.
func TestSchemaIsComplete(t *testing.T) {
	comparePaths(t, "hit.schema.json", schemaPaths(t), written(t, form.Native))
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(artifact(t, "hit.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("hit.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("hit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchema(t *testing.T) {
	s := compileSchema(t)
	for name, e := range samples() {
		for _, ip := range []string{form.AlertFlow, form.AlertIndicator} {
			text := line(t, form.Native, form.Options{AlertIP: ip}, e)
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(doc); err != nil {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
		}
	}
}

// TestSchemaRefuses changes a good line into ones that must not pass.
func TestSchemaRefuses(t *testing.T) {
	s := compileSchema(t)
	good := line(t, form.Native, form.Options{}, sample("hit"))
	alert := line(t, form.Native, form.Options{}, sample("alert"))
	for _, tc := range []struct{ line, from, to string }{
		{good, `"v":2`, `"v":1`},
		{good, `"v":2`, `"v":2,"more":1`},
		{good, `"kind":"hit"`, `"kind":"miss"`},
		{good, `"kind":"hit"`, `"kind":"alert"`},
		{good, `"kind":"hit"`, `"event":"hit"`},
		{good, `"version":"9"`, `"version":9`},
		{good, `"srcip":"10.0.0.5"`, `"srcip":"10.0.0.500"`},
		{good, `,"dstport":443`, ``},
		{good, `"score":95`, `"score":101`},
		{good, `"blocked":false,`, ``},
		{good, `"severity":"critical"`, `"severity":"bad"`},
		{good, `"feed":"feodo"`, `"feed":"feodo list"`},
		{good, `"prefix":"203.0.113.9/32",`, ``},
		{alert, `"flowsnitch":{`, `"srcip":"10.0.0.5","flowsnitch":{`},
	} {
		bad := strings.Replace(tc.line, tc.from, tc.to, 1)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil || bad == tc.line {
			t.Fatalf("%s: %v", tc.from, err)
		}
		if s.Validate(doc) == nil {
			t.Errorf("%s instead of %s passes", tc.to, tc.from)
		}
	}
}

// TestIndexTemplate holds that the mapping has every field of the ECS form, and no
// other.
func TestIndexTemplate(t *testing.T) {
	type field struct {
		Type       string
		Properties map[string]json.RawMessage
	}
	var doc struct {
		IndexPatterns []string `json:"index_patterns"`
		Template      struct{ Mappings field }
	}
	if err := json.Unmarshal(artifact(t, "elasticsearch/index-template.json"), &doc); err != nil {
		t.Fatal(err)
	}
	mapped := map[string]bool{}
	var walk func(path string, f field)
	walk = func(path string, f field) {
		if f.Properties == nil {
			mapped[path] = true
		}
		for key, raw := range f.Properties {
			var sub field
			if err := json.Unmarshal(raw, &sub); err != nil {
				t.Fatal(err)
			}
			if sub.Type == "" && sub.Properties == nil {
				t.Errorf("%s.%s has no type", path, key)
			}
			walk(strings.TrimPrefix(path+"."+key, "."), sub)
		}
	}
	walk("", doc.Template.Mappings)
	comparePaths(t, "index-template.json", mapped, written(t, form.ECS))
}

// TestFilebeat holds that Filebeat sends what the index template is for, by the id
// that events have.
func TestFilebeat(t *testing.T) {
	var doc struct {
		Inputs []struct {
			Type    string
			Paths   []string
			Parsers []struct {
				NDJSON struct {
					Target        *string
					OverwriteKeys bool   `yaml:"overwrite_keys"`
					AddErrorKey   bool   `yaml:"add_error_key"`
					DocumentID    string `yaml:"document_id"`
				} `yaml:"ndjson"`
			}
			Exclude []string `yaml:"prospector.scanner.exclude_files"`
			ID      string
		} `yaml:"filebeat.inputs"`
		Output struct {
			Hosts []string
			Index string
		} `yaml:"output.elasticsearch"`
		Template bool `yaml:"setup.template.enabled"`
		ILM      bool `yaml:"setup.ilm.enabled"`
	}
	if err := yaml.UnmarshalWithOptions(artifact(t, "filebeat/filebeat.yml"), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	in := doc.Inputs[0]
	if id := in.Parsers[0].NDJSON.DocumentID; !written(t, form.ECS)[id] {
		t.Errorf("document_id %q is no field", id)
	}
	if doc.Output.Index != "logs-flowsnitch.hit-default" || !strings.Contains(string(artifact(t, "elasticsearch")), `"logs-flowsnitch.*-*"`) {
		t.Errorf("index %s", doc.Output.Index)
	}
	for _, name := range []string{"hits.json-20261121-101500.gz", "hits.json.lock", "hits.json-20261121-101500.gz.tmp", "hits.json.canary", "hits.json.canary.new"} {
		if !slices.ContainsFunc(in.Exclude, func(expr string) bool { return regexp.MustCompile(expr).MatchString(name) }) {
			t.Errorf("%s would be read", name)
		}
	}
}

// TestClickHouseAdded: the command for a table that was made before it had all columns adds each
// with the type and at the place that it has in a new one.
func TestClickHouseAdded(t *testing.T) {
	sql := string(artifact(t, "clickhouse"))
	_, table, _ := strings.Cut(sql, "flowsnitch_events\n(\n")
	table, _, _ = strings.Cut(table, "\n)\n")
	before := "" // the column before
	want := map[string]string{}
	var columns []string
	for l := range strings.SplitSeq(table, "\n") {
		name, kind, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(l), ","), " ")
		want[name] = strings.TrimSpace(kind) + " AFTER " + before
		columns, before = append(columns, name), name
	}
	added := map[string]bool{}
	for _, m := range regexp.MustCompile(`ADD COLUMN IF NOT EXISTS (\w+) (.*?)[,;]?\n`).FindAllStringSubmatch(sql, -1) {
		if added[m[1]] = true; m[2] != want[m[1]] {
			t.Errorf("%s is added as %q, want %q", m[1], m[2], want[m[1]])
		}
	}
	// The columns of the first table for lines of version 2. Whatever a table has beyond them
	// has to be in the command.
	first := strings.Fields(`id time kind contact seq last sensor alert src_ip src_port dst_ip dst_port protocol offender embedded local role direction
		answered refused blocked service_port contact_first_seen folded ports ports_capped hosts hosts_capped severity score reason feed category indicator ref
		tlp flows packets bytes packets_back bytes_back tcp_flags sampling start end clock exporter exporter_name version nat_src nat_dst inner_src inner_dst
		community_id intel_version feeds line`)
	for _, name := range columns {
		if added[name] == slices.Contains(first, name) {
			t.Errorf("column %s: added %v, in the first table %v", name, added[name], slices.Contains(first, name))
		}
	}
}

// TestClickHouse holds that the view reads keys that exist, as what they are, into
// the columns that the table has, in their order.
func TestClickHouse(t *testing.T) {
	sql := string(artifact(t, "clickhouse"))
	_, table, _ := strings.Cut(sql, "flowsnitch_events\n(\n")
	table, _, _ = strings.Cut(table, "\n)\n")
	var columns []string
	for l := range strings.SplitSeq(table, "\n") {
		columns = append(columns, strings.Fields(l)[0])
	}
	_, view, _ := strings.Cut(sql, "AS\nSELECT\n")
	view, _, _ = strings.Cut(view, "\nFROM")
	allowed := schemaPaths(t)
	allowed["event"] = true // the kind in version 1
	var selected []string
	for l := range strings.SplitSeq(view, "\n") {
		_, column, ok := strings.Cut(strings.TrimSuffix(l, ","), " AS ")
		if !ok {
			column = strings.TrimSpace(l)
		}
		selected = append(selected, column)
		for _, m := range regexp.MustCompile(`JSONExtract(\w*)\(line((?:, '[^']+')+)\)`).FindAllStringSubmatch(l, -1) {
			keys := strings.Split(strings.Trim(m[2], ", '"), "', '")
			if m[1] == "" { // the last is the type
				keys = keys[:len(keys)-1]
			}
			path := strings.Join(keys, ".")
			if m[1] == "ArrayRaw" {
				path += ".feed"
			}
			inside := func(p string, _ bool) bool { return p == path || strings.HasPrefix(p, path+".") && m[1] == "" }
			if n := len(allowed); n == 0 || func() bool { maps.DeleteFunc(allowed, inside); return len(allowed) == n }() {
				t.Errorf("%s reads %s, which is never written", column, path)
			}
		}
	}
	if !slices.Equal(columns, selected) {
		t.Errorf("the table has %v\nthe view   %v", columns, selected)
	}
	if strings.Count(sql, "(") != strings.Count(sql, ")") {
		t.Error("parentheses do not match")
	}
	for path := range allowed { // what stays in the column line alone
		if !regexp.MustCompile(`^(integration|v)$|_raw$|exporters|domain$|_if$|_port$|indicators|indicators_total|rule\.(error|tlp|type|title|interval|spread|\w+_counts|histogram_\w+|stop|left_out)$`).MatchString(path) {
			t.Errorf("%s is in no column", path)
		}
	}
}
