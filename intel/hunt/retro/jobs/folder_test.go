package jobs

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
)

// TestDamagedJobs: of the jobs that are damaged one file is kept to be looked at, however many
// there are over the years, and the rest of the folder works on.
func TestDamagedJobs(t *testing.T) {
	dir := t.TempDir()
	damaged := 0
	f := New(disk.OS{}, dir, func(error) { damaged++ })
	if err := f.Open(); err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		e := listed.Of(netip.PrefixFrom(netip.AddrFrom4([4]byte{62, 7, 0, byte(n)}), 32), 0, false)
		e.Since = uint32(1000 + n)
		if err := f.Add([]listed.Entry{e}, false); err != nil {
			t.Fatal(err)
		}
		if n%2 == 1 {
			continue
		}
		waiting := f.Waiting()
		path := f.path(waiting[len(waiting)-1].name())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 { // damage shows at once, or after a restart
			if _, err := f.Current(); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Open(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.Current()
	if err != nil || len(list) != 20 || damaged != 20 || f.Lost {
		t.Errorf("%d entries, %d damaged, lost %t, %v", len(list), damaged, f.Lost, err)
	}
	var set []string
	names, _ := os.ReadDir(dir)
	for _, name := range names {
		if strings.HasSuffix(name.Name(), badSuffix) || strings.HasPrefix(name.Name(), oldPrefix) {
			set = append(set, filepath.Base(name.Name()))
		}
	}
	if len(set) != 1 || set[0] != oldPrefix+"job" {
		t.Errorf("kept: %v", set)
	}
}
