//go:build unix

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// deployed gives the path of a file of the folder deploy.
func deployed(path ...string) string {
	return filepath.Join(append([]string{"..", "..", "deploy"}, path...)...)
}

// named gives what the first group of an expression matches in a file, each once, sorted.
func named(t *testing.T, path, expression string) []string {
	t.Helper()
	found := make(map[string]bool)
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(read(t, path), -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// TestIcinga: the check command has every option of check and no other, and the rest of the
// files names only variables and checks that there are.
func TestIcinga(t *testing.T) {
	check := newCheck()
	var flags, variables []string
	check.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	for _, f := range append(flags, "checks") {
		variables = append(variables, "flowsnitch_"+strings.ReplaceAll(f, "-", "_"))
	}
	slices.Sort(variables)
	rules, hosts := deployed("icinga", "flowsnitch.conf"), deployed("icinga", "hosts.conf")
	if got := named(t, rules, `"--([a-z-]+)" = \{`); !slices.Equal(got, flags) {
		t.Errorf("the check command has the options %q, check has %q", got, flags)
	}
	if got := named(t, rules, `= "\$(flowsnitch_[a-z_]+)\$"`); !slices.Equal(got, variables) {
		t.Errorf("the check command has the variables %q, not %q", got, variables)
	}
	known := append(variables, named(t, rules, `host\.vars\.(flowsnitch_[a-z_]+)`)...)
	for _, path := range []string{rules, hosts} {
		for _, name := range named(t, path, `\b(flowsnitch_[a-z_]+) =`) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: nothing reads the variable %s", path, name)
			}
		}
	}
	for _, list := range named(t, hosts, `flowsnitch_checks = \[ (.*) \]`) {
		for name := range strings.SplitSeq(list, ", ") {
			if !slices.Contains(check.ValidArgs, strings.Trim(name, `"`)) {
				t.Errorf("there is no check %s", name)
			}
		}
	}
	for _, file := range []string{"nagios.cfg", "nrpe.cfg"} {
		for _, name := range named(t, deployed("icinga", file), `--([a-z-]+)`) {
			if !slices.Contains(flags, name) {
				t.Errorf("%s: there is no option --%s", file, name)
			}
		}
	}
}

// A fakeProgram answers as flowsnitch did once: what check and status printed, and how
// check ended.
type fakeProgram struct{ dir string }

func (p fakeProgram) answers(t *testing.T, check, metrics result) {
	t.Helper()
	for name, r := range map[string]result{"check": check, "status": metrics} {
		text := fmt.Sprintf("%s\nexit %d\n", r.out, r.code)
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nsed '$d' %[1]s/$1\n$(tail -n 1 %[1]s/$1)\n", p.dir)
	if err := os.WriteFile(filepath.Join(p.dir, "flowsnitch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// munin runs the plugin and gives its lines by graph and first word.
func (p fakeProgram) munin(t *testing.T, args ...string) map[string]string {
	t.Helper()
	cmd := exec.Command("sh", append([]string{deployed("munin", "flowsnitch")}, args...)...)
	cmd.Env = append(os.Environ(), "program="+filepath.Join(p.dir, "flowsnitch"))
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the plugin: %v\n%s%s", err, out, errOut.String())
	}
	lines, graph := make(map[string]string), ""
	for line := range strings.Lines(string(out)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "multigraph" {
			graph = rest
			continue
		}
		lines[graph+" "+word] = rest
	}
	return lines
}

// ending gives the keys that end in a suffix, without it, sorted.
func ending(lines map[string]string, suffix string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		if name, ok := strings.CutSuffix(key, suffix); ok {
			keys = append(keys, name)
		}
	}
	return keys
}

// isNumber is what munin takes for a value; what a rise is made of must be whole.
var isNumber, isWhole = regexp.MustCompile(`^\d+(\.\d+)?$`), regexp.MustCompile(`^\d+$`)

// TestMunin: every line of every graph has a value of a running instance, in the form that
// munin reads, and no value where there is none.
func TestMunin(t *testing.T) {
	i := startIn(t, shortDir(t), "62.0.0.53\n", "canary: {every: 1s}")
	var check, metrics result
	eventually(t, "the instance knows itself, and a canary has come to its sink", func() bool {
		check = command(t, "check", "-v", "--config", i.config)
		metrics = command(t, "status", "--metrics", "--config", i.config)
		return strings.Count(check.out, "\n") > 1 && strings.Contains(metrics.out, "flowsnitch_canary_sink_latency_seconds{")
	})
	p := fakeProgram{t.TempDir()}
	p.answers(t, check, metrics)
	config, values := p.munin(t, "config"), p.munin(t)
	fields := ending(config, ".label")
	if got := ending(values, ".value"); !slices.Equal(got, fields) || len(fields) < 30 {
		t.Errorf("values for %q, configured are %q", got, fields)
	}
	for _, f := range fields {
		form := isNumber
		if config[f+".type"] == "DERIVE" {
			form = isWhole
		}
		if v := values[f+".value"]; !form.MatchString(v) {
			t.Errorf("%s is %q\n%s", f, v, metrics.out)
		}
	}
	for _, name := range newCheck().ValidArgs {
		if config["flowsnitch_checks "+name+".critical"] != "1.5" {
			t.Errorf("check %s has no line of its own", name)
		}
	}

	i.end(t)
	p.answers(t, command(t, "check", "-v", "--config", i.config), result{code: 1})
	values = p.munin(t)
	if got := values["flowsnitch_checks answers.value"]; got != "2" || !strings.Contains(values["flowsnitch_checks answers.extinfo"], "no running instance") {
		t.Errorf("an instance that is gone: %q", values)
	}
	delete(values, "flowsnitch_checks answers.value")
	for _, f := range ending(values, ".value") {
		if values[f+".value"] != "U" {
			t.Errorf("%s of an instance that is gone is %q", f, values[f+".value"])
		}
	}
}

// TestMuninChecks: what is not well comes with its cause; who may not ask knows nothing.
func TestMuninChecks(t *testing.T) {
	p := fakeProgram{t.TempDir()}
	ask := []string{"check", "-v", "--url", fakeWeb(t), "--token-file", file(t, "token", "secret\n")}
	p.answers(t, command(t, ask...), result{out: "flowsnitch_memory_bytes 1.23456789e+08\n" +
		"flowsnitch_records_total{version=\"v9\"} 1.8014398509481984e+16\nflowsnitch_feed_age_seconds{feed=\"a {b} c\"} 7200\n"})
	values := p.munin(t)
	for key, want := range map[string]string{
		"checks answers.value": "0", "checks loss.value": "0", "checks loss.extinfo": "", "checks clock.value": "U",
		"checks sinks.value": "1", "checks sinks.extinfo": "kafka cannot deliver / <b> x",
		"checks spool.value": "2", "checks spool.extinfo": "the disk fails",
		"memory used.value": "123456789", "flows v9.value": "18014398509481984", "flows v5.value": "U",
		"feeds age.value": "2.000", "losses kernel.value": "U", "spool fill.value": "U",
	} {
		if got := values["flowsnitch_"+key]; got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	p.answers(t, command(t, "check", "-v", "--config", file(t, "f.yml", "nam: x\n")), result{code: 2})
	values = p.munin(t)
	for _, f := range ending(values, ".value") {
		if values[f+".value"] != "U" {
			t.Errorf("%s is %q for somebody who may not ask", f, values[f+".value"])
		}
	}
}
