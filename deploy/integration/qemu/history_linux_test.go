//go:build integration

package qemu

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestHistoryOnAPi: the tests of the history pass on processors of 32 bits, where Parquet is
// read and written without assembler: on an ARMv6 in the emulator, and on a 386.
func TestHistoryOnAPi(t *testing.T) {
	for _, tt := range []struct {
		name     string
		env      []string
		emulator []string
		packages []string // below flow/history
	}{
		{"armv6", []string{"GOARCH=arm", "GOARM=6"}, pis[0].target.Emulator, []string{"row", "table", "file", "folder", "recorder"}},
		{"386", []string{"GOARCH=386"}, nil, []string{"..."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"test", "-short", "-count=1", "-p=1", "-timeout=14m", "-exec=" + strings.Join(tt.emulator, " ")}
			for _, p := range tt.packages {
				args = append(args, "./flow/history/"+p)
			}
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir = "../../.."
			cmd.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=0"}, tt.env)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
