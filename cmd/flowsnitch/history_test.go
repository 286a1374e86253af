package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// historyConfig writes a configuration with a state directory of its own.
func historyConfig(t *testing.T) (file, state string) {
	t.Helper()
	dir := t.TempDir()
	file, state = filepath.Join(dir, "c.yml"), filepath.Join(dir, "state")
	text := "state_dir: " + state + "\nhome: [192.168.0.0/16, 2001:db8::/32]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, state
}

const nfdumpData = "../../flow/history/past/nfdump/testdata/"

// TestHistoryImport: an import is listed, erased in, added to and removed.
func TestHistoryImport(t *testing.T) {
	file, state := historyConfig(t)
	r := command(t, "history", "import", "-c", file, "--name", "old", nfdumpData+"v171.json")
	if r.code != exitDone || !strings.HasPrefix(r.out, "old: 39 flows kept; 1 file, ") || !strings.Contains(r.err, "v171.json: json of nfdump, 1169 lines: 39 rows\n") {
		t.Fatalf("%+v", r)
	}
	if r := command(t, "history", "import", "-c", file, "--name", "old", nfdumpData+"v171.json"); r.code != exitFailed || !strings.Contains(r.err, "--append") {
		t.Errorf("%+v", r)
	}
	list := func() []listedHistory {
		t.Helper()
		r := command(t, "history", "list", "-c", file, "--json")
		var all []listedHistory
		if err := json.Unmarshal([]byte(r.out), &all); err != nil || r.code != exitDone {
			t.Fatalf("%v: %+v", err, r)
		}
		return all
	}
	all := list()
	if len(all) != 2 || all[0].Name != "" || all[0].Rows != 0 || all[1].Name != "old" || all[1].Rows != 38 || all[1].Files != 1 {
		t.Fatalf("%+v", all)
	}
	if r := command(t, "history", "list", "-c", file); !strings.Contains(r.out, "\nold      2026-11-30 00:00  2026-12-01 00:00  38    ") {
		t.Errorf("%q", r.out)
	}

	if r := command(t, "history", "erase", "-c", file, "--dry-run", "203.0.113.9", "192.168.2.0/24"); r.out != "4 rows in 1 file would be erased\n" || r.code != exitDone {
		t.Errorf("%+v", r)
	}
	if all := list(); all[1].Rows != 38 {
		t.Errorf("%+v", all)
	}
	if r := command(t, "history", "erase", "-c", file, "203.0.113.9", "192.168.2.0/24"); r.out != "4 rows in 1 file erased\n" || r.code != exitDone {
		t.Errorf("%+v", r)
	}
	if all := list(); all[1].Rows != 34 {
		t.Errorf("%+v", all)
	}
	if r := command(t, "history", "import", "-c", file, "--name", "old", "--append", nfdumpData+"v175.csv"); r.code != exitDone || !strings.Contains(r.err, "1 of the days were in the import before") {
		t.Errorf("%+v", r)
	}
	if all := list(); all[1].Files != 2 {
		t.Errorf("%+v", all)
	}
	if r := command(t, "history", "remove", "-c", file, "old", "other"); r.code != exitFailed || r.out != "old removed\n" || !strings.Contains(r.err, "other: there is no import of this name") {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(state, "history", "import", "[a-z]*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestHistoryBadImport: bad rows are shown with their lines; an input without a usable row
// fails and leaves nothing.
func TestHistoryBadImport(t *testing.T) {
	file, state := historyConfig(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	head := "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
	good := "2026-11-30 13:19:06.816,18.641,6,192.168.1.1,443,203.0.113.7,12159,49,36897,1\n"
	bad := strings.Replace(good, "203.0.113.7", "somewhere", 1)
	r := command(t, "history", "import", "-c", file, "--name", "a", write("mixed", head+good+strings.Repeat(bad, 8)))
	if r.code != exitDone || !strings.Contains(r.err, "10 lines: 1 rows, 8 rows that cannot be read\n") ||
		!strings.Contains(r.err, `  line 3: `) || !strings.Contains(r.err, `"somewhere" is not a valid address`) || !strings.Contains(r.err, "  and 3 more\n") {
		t.Errorf("%+v", r)
	}
	r = command(t, "history", "import", "-c", file, "--name", "b", write("bad", head+bad))
	if r.code != exitFailed || r.out != "" || !strings.Contains(r.err, "bad: no row of it can be used\n") {
		t.Errorf("%+v", r)
	}
	r = command(t, "history", "import", "-c", file, "--name", "b", write("text", "hello"), filepath.Join(dir, "absent"))
	if r.code != exitFailed || !strings.Contains(r.err, "text: neither a capture nor csv or json of nfdump") || !strings.Contains(r.err, "absent: no such file") {
		t.Errorf("%+v", r)
	}
	if names, _ := filepath.Glob(filepath.Join(state, "history", "import", "[a-z]*")); len(names) != 1 {
		t.Errorf("imports: %v", names)
	}
	for _, args := range [][]string{
		{"--name", "B", "x"}, {"x"}, {"--name", "b"}, {"--name", "b", "-", "-"}, {"--name", "b", "--timezone", "Nowhere/At", "x"},
		{"--name", "b", "--exporter", "router", "x"},
	} {
		if r := command(t, append([]string{"history", "import", "-c", file}, args...)...); r.code != exitUsage {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := command(t, "history", "erase", "-c", file, "host"); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
}
