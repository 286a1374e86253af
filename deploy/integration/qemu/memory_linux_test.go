//go:build integration || soak

package qemu

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

const megabyte = 1_000_000

// A size is a set, and the memory that it may take at rest.
type size struct{ indicators, bytes int }

// testMemory starts with a set of a size and waits until the memory is within its bound:
// the collector gives back what the making of a set took in its own time.
func testMemory(t *testing.T, p *pi, s size) {
	list := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(list, listOf(s.indicators), 0o600); err != nil {
		t.Fatal(err)
	}
	i := p.run(t, fmt.Sprintf("home: [10.0.0.0/8]\nintel: {feeds: [{name: list, file: %s}]}\n", list))
	var st status
	i.Until(t, "the set is in force", func() bool { st = read(t, i); return st.Intel.Indicators == s.indicators })
	loaded := st.Memory.InUse
	i.Until(t, fmt.Sprintf("at most %d MB are in use", s.bytes/megabyte), func() bool {
		st = read(t, i)
		return st.Memory.InUse != 0 && st.Memory.InUse <= s.bytes
	})
	t.Logf("%s, %d indicators: %.1f MB when loaded, %.1f MB at rest (at most %d MB)", p.name, s.indicators,
		float64(loaded)/megabyte, float64(st.Memory.InUse)/megabyte, s.bytes/megabyte)
	i.Stop()
}

// listOf gives so many addresses, far apart as those of real feeds are: the steps go
// through all of 11.0.0.0 to 99.255.255.255.
func listOf(n int) []byte {
	const first, span, step = 11 << 24, 89 << 24, 2654435761
	var b bytes.Buffer
	for i := range uint64(n) {
		v := first + i*step%span
		fmt.Fprintf(&b, "%d.%d.%d.%d\n", v>>24, v>>16&255, v>>8&255, v&255)
	}
	return b.Bytes()
}

// A status is what the test reads of the running instance.
type status struct {
	Intel struct {
		Indicators int `json:"indicators"`
	} `json:"intel"`
	Memory struct {
		InUse int `json:"in_use"`
	} `json:"memory"`
}

func read(t *testing.T, i *instance.Instance) (s status) {
	t.Helper()
	i.Status(t, &s)
	return s
}
