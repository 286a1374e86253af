//go:build soak

package incidents

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestBytesPerDay: what incidents write on the card of a Raspberry Pi that receives 300 flows/s,
// of which 18 a minute are hits of 2,000 offenders at random: the edge profile with and without
// them, side by side, over two of their commits. The figure is for the record, it has no bound.
func TestBytesPerDay(t *testing.T) {
	const (
		offenders = 2000
		first     = 330 * time.Second // the schema and the first commit
		measured  = 10 * time.Minute
	)
	rnd := rand.New(rand.NewPCG(16, 16))
	var list strings.Builder
	for range offenders {
		fmt.Fprintf(&list, "%d.%d.%d.%d\n", 11+rnd.IntN(89), rnd.IntN(256), rnd.IntN(256), 1+rnd.IntN(254))
	}
	bad := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(bad, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(incidents bool) *instance.Instance {
		i := instance.New(t, fmt.Sprintf("profile: edge\nhome: [%s]\nhistory: {enabled: false}\nincidents: {enabled: %t}\n"+
			"intel: {feeds: [{name: bad, file: %s, category: c2, score: 90}]}\n", instance.Home, incidents, bad))
		i.Start(t)
		send := exec.CommandContext(t.Context(), instance.Binary(t, "flowgen"), "--to", i.Address(t), "--version", "v9", "--home", instance.Home,
			"--rate", "300", "--hits", "0.001", "--hit-list", bad, "--flows", "500000", "--duration", (first + measured + time.Minute).String())
		if err := send.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = send.Process.Kill(); _ = send.Wait() })
		return i
	}
	with, without := start(true), start(false)
	time.Sleep(first)
	before := [2]int64{written(t, with), written(t, without)}
	time.Sleep(measured)
	perDay := func(i *instance.Instance, before int64) float64 {
		return float64(written(t, i)-before) * (24 * time.Hour).Seconds() / measured.Seconds() / 1e6
	}
	all, rest := perDay(with, before[0]), perDay(without, before[1])
	if rest <= 0 || all <= rest {
		t.Fatalf("%.1f MB a day with incidents, %.1f without: the count is wrong", all, rest)
	}
	t.Logf("incidents write %.0f MB a day, everything else %.0f", all-rest, rest)
}

// written is how many bytes a process has caused to be written, as the kernel counts them.
func written(t *testing.T, i *instance.Instance) (n int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", i.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(rest, &n); !ok || err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return n
}
