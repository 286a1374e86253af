package configs_test

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
)

// A key is one of the configuration: a leaf, with its default if that is not the zero
// value of its type.
type key struct {
	path  string
	value reflect.Value
}

// keysOf walks the types of a configuration. Where a list or a pointer is empty, it goes
// on with zero values, whose defaults are not known.
func keysOf(v reflect.Value, path string) (keys []key) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem()
	}
	t := v.Type()
	_, isText := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	switch {
	case isText:
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		if v.Len() == 0 {
			v = reflect.MakeSlice(t, 1, 1)
		}
		if _, isText := reflect.New(t.Elem()).Interface().(encoding.TextUnmarshaler); !isText {
			return keysOf(v.Index(0), path)
		}
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case name == "-" || !f.IsExported():
			case f.Anonymous || options == "inline":
				keys = append(keys, keysOf(v.Field(i), path)...)
			case name == "":
				keys = append(keys, key{path: path + "." + f.Name + " (without a yaml tag)"})
			default:
				keys = append(keys, keysOf(v.Field(i), strings.TrimPrefix(path+"."+name, "."))...)
			}
		}
		return keys
	}
	return []key{{path, v}}
}

// blocks splits the reference into its top-level keys, comments of theirs included, and
// the sinks further by kind.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("flowsnitch.yml")
	if err != nil {
		t.Fatal(err)
	}
	top, sink := regexp.MustCompile(`^(?:# )?([a-z]+[0-9]*(?:_[a-z]+)*):`), regexp.MustCompile(`^  (?:# )?(?:- |  )(jsonlog|console|webhook|kafka|syslog|kinds|delivery):`)
	out, name := make(map[string]string), ""
	for line := range strings.Lines(string(b)) {
		if m := top.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		if m := sink.FindStringSubmatch(line); m != nil && strings.HasPrefix(name, "sinks") {
			name = "sinks." + m[1]
		}
		out[name] += line
	}
	return out
}

// notInReference are keys that the reference does not show, and why.
var notInReference = map[string]string{
	"name":               "the default is that of the host",
	"state_dir":          "the default is that of the user",
	"journal.dir":        "the default is in state_dir",
	"sinks.jsonlog.path": "the default is in state_dir",
	"sinks.webhook.kind": "has no default",
	"sinks.webhook.url":  "has no default",
}

// TestReferenceHasAllKeys: each key that a configuration may have is in the reference, in
// the block where it belongs, and if it has a default, with that.
func TestReferenceHasAllKeys(t *testing.T) {
	c, err := configs.Parse("all", []byte("sinks: [{jsonlog: {path: /x}}, {console: {}}, {webhook: {kind: json, url: \"http://127.0.0.1/\"}}, "+
		"{kafka: {brokers: [\"127.0.0.1:9092\"]}}, {syslog: {servers: [\"127.0.0.1:514\"]}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := c.Sinks
	c.Sinks = []configs.Sink{{JSONLog: all[0].JSONLog, Console: all[1].Console, Webhook: all[2].Webhook, Kafka: all[3].Kafka, Syslog: all[4].Syslog, Delivery: all[0].Delivery}}
	text := blocks(t)
	keys := keysOf(reflect.ValueOf(c), "")
	if len(keys) < 150 {
		t.Fatalf("only %d keys", len(keys))
	}
	used := make(map[string]bool)
	for _, k := range keys {
		if strings.HasPrefix(k.path, "intel.warninglists.") {
			continue // they have the keys of feeds
		}
		block := strings.Split(k.path, ".")[0]
		if block == "sinks" {
			block = strings.Join(strings.Split(k.path, ".")[:2], ".")
		}
		name := k.path[strings.LastIndexByte(k.path, '.')+1:]
		problem := inReference(text[block], name, k.value)
		if problem == "" {
			continue
		}
		if notInReference[k.path] != "" {
			used[k.path] = true
			continue
		}
		t.Errorf("flowsnitch.yml, %s: %s %s", block, k.path, problem)
	}
	for path := range notInReference {
		if !used[path] {
			t.Errorf("%s is exempt and needs not be", path)
		}
	}
}

// inReference tells what is wrong with a key in a block.
func inReference(block, name string, value reflect.Value) string {
	found := regexp.MustCompile(`(?:^|[\s{#,])`+name+`:[ \t]*("[^"]*"|[^\s,}#]*)`).FindAllStringSubmatch(block, -1)
	if found == nil {
		return "is not there"
	}
	kind := value.Kind()
	if value.IsZero() || kind == reflect.Slice || kind == reflect.Map || kind == reflect.Struct {
		return ""
	}
	want := fmt.Sprint(value.Interface())
	var shown []string
	for _, m := range found {
		got := strings.Trim(m[1], `"`)
		if d, err := time.ParseDuration(got); err == nil && value.Type() == reflect.TypeFor[time.Duration]() && d == value.Interface() {
			return ""
		}
		if n, err := strconv.ParseFloat(got, 64); got == want || err == nil && fmt.Sprint(n) == want {
			return ""
		}
		shown = append(shown, got)
	}
	if strings.Contains(block, "default "+want) || strings.Contains(block, "default: "+want) {
		return ""
	}
	return fmt.Sprintf("shows %q, the default is %s", shown, want)
}

// TestReferenceSinks: the sinks that are comments in the reference are a configuration.
func TestReferenceSinks(t *testing.T) {
	for _, name := range []string{"HOOK_TOKEN", "HOOK_KEY", "PAGERDUTY_KEY", "MAIL_PASSWORD", "KAFKA_PASSWORD"} {
		t.Setenv(name, "secret")
	}
	text := blocks(t)
	for _, kind := range []string{"webhook", "kafka", "syslog"} {
		var b strings.Builder
		b.WriteString("sinks:\n")
		for line := range strings.Lines(text["sinks."+kind]) {
			b.WriteString(strings.Replace(line, "  # ", "  ", 1))
		}
		c, err := configs.Parse(kind, []byte(b.String()))
		if err != nil || len(c.Sinks) != 1 {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
}
