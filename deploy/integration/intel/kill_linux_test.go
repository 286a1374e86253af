//go:build integration || soak

package intel

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestKill kills the process at random moments of fetches and swaps. Each start uses one
// whole generation, never a part of one or a mixture of two.
func TestKill(t *testing.T) {
	const entries = 20_000
	var generation atomic.Int64
	p := provide(t, func(w http.ResponseWriter, r *http.Request) { serves(int(generation.Add(1)%2), entries)(w, r) })
	dir := t.TempDir()
	file := filepath.Join(dir, "near.txt")
	i := instance.New(t, fmt.Sprintf("intel: {feeds: [{name: far, url: %q, interval: 10s}, {file: %s, interval: 1s}]}\n", p.URL, file))
	random := rand.New(rand.NewPCG(1, 2))
	for n := range rounds {
		if err := os.WriteFile(file, listed(10+n%2, entries), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(i.Dir, "feeds", "feed-far.state")) // as if its time had come
		i.Launch(t)
		time.Sleep(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
		i.Kill()
		checkWhole(t, i, "far", entries, 0, 1)
		checkWhole(t, i, "near", entries, 10, 11)
	}
	if strings.Contains(i.Log(), "cannot be used") || strings.Contains(i.Log(), "cannot be read") {
		t.Error("a file was broken")
	}
}

// checkWhole makes sure that of a feed exactly one generation is listed, or none yet.
func checkWhole(t *testing.T, i *instance.Instance, name string, entries int, generations ...int) {
	t.Helper()
	found := 0
	for _, g := range generations {
		args := []string{"lookup"}
		probes := []int{1, entries / 2, entries - 1}
		for _, n := range probes {
			args = append(args, fmt.Sprintf("%d.%d.%d.%d", 63+g, n>>16, n>>8&0xff, n&0xff))
		}
		out, _ := i.Try(t, args...) // fails for what is not listed
		if strings.Contains(out, "cannot be") {
			t.Errorf("lookup says %s", out)
		}
		switch strings.Count(out, "is listed by "+name+" ") {
		case 0:
		case len(probes):
			found++
		default:
			t.Errorf("a part of generation %d of %s:\n%s", g, name, out)
		}
	}
	if found > 1 {
		t.Errorf("%d generations of %s are listed at a time", found, name)
	}
}
