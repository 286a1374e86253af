//go:build integration

package deb

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestGuide types what the guide for the Raspberry Pi says into a clean Debian, and ends
// with a hit that softflowd's export has made.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile(top + "/deploy/pi/README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) < 4 {
		t.Fatalf("only %d blocks of commands in the guide", len(blocks))
	}
	m := newMachine(t)
	m.put(t, packageOf(t, here(t)), "tmp/flowsnitch.deb")
	for _, block := range blocks {
		out, err := m.try(block[1])
		if err != nil {
			t.Fatalf("%v\n%s", err, m.sh(t, "cat /run/flowsnitch.log || true"))
		}
		if strings.Contains(out, `"kind":"hit"`) {
			t.Logf("the hit: %.200s", out)
		}
	}
	// The log is in memory: it can be seen from the machine only.
	hit := m.sh(t, "grep '\"offender\":\"203.0.113.9\"' "+hitLog)
	for _, want := range []string{`"sensor":"pi-oslo"`, `"srcip":"192.168.77.10"`, `"dstport":9999`, `"version":"9"`, `"exporter":"127.0.0.1"`} {
		if !strings.Contains(hit, want) {
			t.Errorf("%s is not in the hit %s", want, hit)
		}
	}
	m.sh(t, "findmnt -n -o FSTYPE /var/log/flowsnitch | grep -qx tmpfs; systemctl stop flowsnitch")
	m.sh(t, "apt-get purge -y flowsnitch; ! test -e /etc/flowsnitch; ! test -e /var/lib/flowsnitch; test -z \"$(ls -A /var/log/flowsnitch)\"; ! getent passwd flowsnitch")
}

// TestContainer: what the Containerfile puts into its image is all that the program needs.
func TestContainer(t *testing.T) {
	b, err := os.ReadFile(top + "/deploy/container/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	final := string(b)[strings.Index(string(b), "FROM scratch"):]
	for _, want := range []string{"USER 65532:65532", "ENV STATE_DIRECTORY=/var/lib/flowsnitch", `ENTRYPOINT ["/flowsnitch"]`, `CMD ["run"]`, "ca-certificates.crt"} {
		if !strings.Contains(final, want) {
			t.Errorf("the Containerfile lacks %s", want)
		}
	}
	dir := t.TempDir()
	output(t, "bash", "-euc", `dpkg-deb -x "$1" "$0/deb"
install -D "$0/deb/usr/bin/flowsnitch" "$0/image/flowsnitch"
install -d -o 65532 -g 65532 -m 0750 "$0/image/var/lib/flowsnitch"`, dir, packageOf(t, here(t)))
	cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--kill-child",
		"chroot", "--userspec", "65532:65532", dir+"/image", "/flowsnitch", "run")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "STATE_DIRECTORY=/var/lib/flowsnitch"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// All of the group: who changes the user forgets that it was to die with its parent.
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	hung := time.AfterFunc(instance.Patience, kill)
	var all strings.Builder
	for lines := bufio.NewScanner(said); !strings.Contains(all.String(), "listens on udp"); {
		if !lines.Scan() {
			t.Errorf("it does not start: %s", all.String())
			break
		}
		all.WriteString(lines.Text())
	}
	hung.Stop()
	kill()
	_, _ = io.Copy(io.Discard, said) // until the program is gone, too, and not only who has started it
	cmd.Wait()
}
