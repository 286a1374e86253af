//go:build linux && (integration || soak)

package instance

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Serve runs a server until the end of the test, and shows what it printed if that failed.
func Serve(t testing.TB, program string, args ...string) *os.Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", program, out.String())
		}
	})
	return cmd.Process
}
