//go:build integration

package qemu

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// edgeMemory is what the edge profile may take with 100,000 indicators and the history.
const edgeMemory = 96 * megabyte

// TestContacts: the edge profile on an ARMv6 keeps the contacts of 30,000 flows beside 100,000
// indicators within its memory, hunts find what was sent, and the stop writes all of it.
func TestContacts(t *testing.T) {
	const known, flows, rate, indicators = "198.51.100.77", 30_000, 2000, 100_000
	list := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(list, listOf(indicators), 0o600); err != nil {
		t.Fatal(err)
	}
	i := pis[0].run(t, fmt.Sprintf("home: [10.0.0.0/8]\nintel: {feeds: [{name: list, file: %s}]}\n", list))
	var most int
	rest := func() contacts {
		var s contacts
		i.Status(t, &s)
		most = max(most, s.Memory.InUse)
		return s
	}
	i.Until(t, "the set is in force, and what its making took is given back", func() bool {
		s := rest()
		return s.Intel.Indicators == indicators && s.Memory.InUse <= 64*megabyte
	})
	most = 0
	i.Contact(t, known)
	sent := make(chan error, 1)
	generate := exec.CommandContext(t.Context(), instance.Binary(t, "flowgen"), "--to", i.Address(t), "--version", "v9", "--home", "10.0.0.0/8",
		"--flows", fmt.Sprint(flows), "--count", fmt.Sprint(flows), "--rate", fmt.Sprint(rate))
	go func() { sent <- generate.Run() }()
	i.Until(t, "all flows are counted", func() bool { s := rest(); return s.History.Recorded.total() >= flows+1 })
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s := rest()
	if r := s.History.Recorded; r.total() != flows+1 || r.Lost != 0 {
		t.Errorf("of %d flows: %+v", flows+1, r)
	}
	want := s.History.Recorded.Kept + s.History.Recorded.Folded
	var rows int
	i.Until(t, "a hunt finds all flows; what is in memory is written once a minute", func() bool {
		time.Sleep(2 * time.Second)
		r, n := hunted(t, i, "0.0.0.0/0")
		rest()
		rows = r
		return n == want
	})
	if rows, n := hunted(t, i, known); rows != 1 || n != 1 {
		t.Errorf("%d rows of %s with %d flows, want 1 of 1", rows, known, n)
	}
	i.Contact(t, known, known, known) // which are in memory until the stop
	i.Until(t, "they are counted", func() bool { return rest().History.Recorded.total() == flows+4 })
	stop(t, i)
	if _, n := hunted(t, i, known); n != 4 {
		t.Errorf("after the stop: %d flows of %s, want 4", n, known)
	}
	if _, n := hunted(t, i, "0.0.0.0/0"); n != want+3 {
		t.Errorf("after the stop: %d flows, want %d", n, want+3)
	}
	if most > edgeMemory {
		t.Errorf("%d MB in use, more than %d", most/megabyte, edgeMemory/megabyte)
	}
	t.Logf("%d flows, %d rows: at most %.1f MB in use (at most %d)", flows+4, rows, float64(most)/megabyte, edgeMemory/megabyte)
}

// contacts is what the test reads of the status.
type contacts struct {
	status
	History struct {
		Recorded recorded `json:"recorded"`
	} `json:"history"`
}

// recorded is what became of the flows: each is in one of these. Those of the canary are
// excluded, and not read here.
type recorded struct {
	Kept, Folded, Lost, Internal uint64
	NoAddress                    uint64 `json:"no_address"`
}

func (r recorded) total() uint64 { return r.Kept + r.Folded + r.Lost + r.Internal + r.NoAddress }

// hunted gives the rows of a prefix, and their flows.
func hunted(t *testing.T, i *instance.Instance, prefix string) (rows int, flows uint64) {
	t.Helper()
	cmd := exec.Command(instance.Binary(t, "flowsnitch"), "hunt", "--force", "--json", "--limit", "0", prefix, "-c", i.Config)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("hunt %s: %v\n%s", prefix, err, problems.String())
	}
	for line := range strings.Lines(string(out)) {
		var r struct{ Flows uint64 }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows, flows = rows+1, flows+r.Flows
	}
	return rows, flows
}
