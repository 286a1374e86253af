//go:build integration && soak

package qemu

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestIncidents: the edge profile on an ARMv6 keeps an incident for each of some thousand
// offenders beside 100,000 indicators and the history within its memory; after a stop and a
// start they are all there, with what came since added.
func TestIncidents(t *testing.T) {
	const indicators, offenders, flows, rate = 100_000, 2000, 8000, 300
	dir := t.TempDir()
	list, hits := filepath.Join(dir, "bad.txt"), filepath.Join(dir, "hits.txt")
	all := listOf(indicators)
	some := strings.SplitAfterN(string(all), "\n", offenders+1)[:offenders]
	for path, content := range map[string]string{list: string(all), hits: strings.Join(some, "")} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i := pis[0].run(t, fmt.Sprintf("home: [10.0.0.0/8]\nintel: {feeds: [{name: list, file: %s}]}\n", list))
	i.Until(t, "the set is in force, and what its making took is given back", func() bool {
		s := read(t, i)
		return s.Intel.Indicators == indicators && s.Memory.InUse <= 64*megabyte
	})
	most := 0
	generate := func() {
		out, err := exec.CommandContext(t.Context(), instance.Binary(t, "flowgen"), "--to", i.Address(t), "--version", "v9", "--home", "10.0.0.0/8",
			"--hits", "1", "--hit-list", hits, "--flows", fmt.Sprint(flows), "--count", fmt.Sprint(flows), "--rate", fmt.Sprint(rate)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	check := func(what string) {
		t.Helper()
		var want int
		i.Until(t, what, func() bool {
			most = max(most, read(t, i).Memory.InUse)
			want = len(offendersOf(t, i))
			return want > offenders*8/10 && incidents(t, i) == want
		})
		t.Logf("%s: %d incidents", what, want)
	}
	generate()
	check("each offender has an incident")
	stop(t, i)
	i.Start(t)
	check("after a restart each offender has its incident")
	generate()
	check("contacts that go on make no further ones")
	stop(t, i)
	info, err := os.Stat(filepath.Join(i.Dir, "incidents.db"))
	if err != nil {
		t.Fatal(err)
	}
	if most > edgeMemory {
		t.Errorf("%d MB in use, more than %d", most/megabyte, edgeMemory/megabyte)
	}
	t.Logf("at most %.1f MB in use (at most %d), %d bytes of database", float64(most)/megabyte, edgeMemory/megabyte, info.Size())
}

// offendersOf are those of the hit log.
func offendersOf(t *testing.T, i *instance.Instance) map[string]bool {
	all := make(map[string]bool)
	for _, h := range parse(t, i.Hits(t, `"kind":"hit"`)) {
		all[h.Flowsnitch.Offender] = true
	}
	return all
}

// incidents counts the incidents that the running instance lists.
func incidents(t *testing.T, i *instance.Instance) (n int) {
	t.Helper()
	cmd := exec.Command(instance.Binary(t, "flowsnitch"), "incidents", "--json", "--limit", "0", "-c", i.Config)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("incidents: %v\n%s", err, problems.String())
	}
	for line := range strings.Lines(string(out)) {
		var r struct{ Offender string }
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Offender == "" {
			t.Fatalf("%v: %s", err, line)
		}
		n++
	}
	return n
}
