package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
)

// TestReport: what a router exported a moment ago is in the report, of the running instance in
// each form, and of its database once it has ended.
func TestReport(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	s := i.status(t)
	send(t, s.Listeners[0].Address, exportOf(t, flow.V9, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443)))
	eventually(t, "the hit is in the journal", func() bool { return i.status(t).Journal.Appended > 0 })
	page, tables := filepath.Join(i.dir, "report.html"), filepath.Join(i.dir, "tables")
	text := func() string {
		r := command(t, "report", "-c", i.config, "--since", "1h")
		if r.code != exitDone {
			t.Fatalf("%+v", r)
		}
		return r.out
	}
	eventually(t, "the report has it", func() bool { return strings.Contains(text(), badAddr.String()) })
	for _, want := range []string{"flowsnitch report of test", "IS IT ALIVE", weAddr.String()} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q in\n%s", want, text())
		}
	}
	for _, args := range [][]string{{"--html", page}, {"--csv", tables}, {"--html", "-"}, {"--json"}} {
		if r := command(t, append([]string{"report", "-c", i.config}, args...)...); r.code != exitDone || r.err != "" {
			t.Errorf("%v: %+v", args, r)
		}
	}
	r := command(t, "report", "-c", i.config, "--json")
	if made, err := report.Read(strings.NewReader(r.out), time.UTC); err != nil || made.Figures.Offenders != 1 || !made.Alive.Asked {
		t.Errorf("%+v, %v", made, err)
	}
	for _, file := range []string{page, filepath.Join(tables, "hosts.csv"), filepath.Join(tables, "new.csv")} {
		if !strings.Contains(read(t, file), weAddr.String()) && !strings.Contains(read(t, file), badAddr.String()) {
			t.Errorf("%s: %s", file, read(t, file))
		}
	}
	if info, err := os.Stat(filepath.Join(tables, "hosts.csv")); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("others can read personal data: %v, %v", info.Mode(), err)
	}
	if code := i.end(t); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	if r := command(t, "report", "-c", i.config); r.code != exitDone || !strings.Contains(r.out, badAddr.String()) || !strings.Contains(r.err, "no running instance") {
		t.Errorf("without an instance: %+v", r)
	}
}

// TestReportMistakes: each mistake of the command line is named with what is allowed.
func TestReportMistakes(t *testing.T) {
	dir := shortDir(t)
	config := file(t, "f.yml", "state_dir: "+dir+"\n")
	for want, args := range map[string][]string{
		"--since: ":                     {"--since", "yesterday"},
		"is not before until":           {"--since", "2026-11-02", "--until", "2026-11-01"},
		"400 days":                      {"--since", "9000d"},
		"--max-tlp: \"white\" is not a": {"--max-tlp", "white"},
		"forms of the same":             {"--html", "x", "--json"},
	} {
		if r := command(t, append([]string{"report", "-c", config}, args...)...); r.code != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := command(t, "report", "-c", config); r.code != exitFailed || !strings.Contains(r.err, "no database of incidents") {
		t.Errorf("%+v", r)
	}
}
