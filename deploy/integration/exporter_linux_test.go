//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// An exporter is a program that watches a link and exports what it sees.
type exporter struct {
	name    string
	version int  // of the export protocol, as the hit log has it
	ipv6    bool // sees IPv6
	// biflow: one record for both directions. softflowd takes the lower address for the
	// source, whoever opened the connection, and does not say so (biflowDirection, RFC
	// 5103 6.3): of its biflows the direction is not checked.
	biflow bool
	to     string
	args   []string // of the program, beside those that all need
	// command gives the program with its arguments, and may write files to dir. Time-outs
	// are short: flows are to come of their own, not only because the exporter ends.
	command func(t *testing.T, e *exporter, dir string) []string
	// shutdown gives the command that ends it in order; nil where SIGINT does.
	shutdown func(dir string) []string
}

// Where flowsnitch listens.
const (
	listen4 = "127.0.0.1:2055"
	listen6 = "[::1]:2055"
)

var exporters = []exporter{
	{name: "softflowd v5", version: 5, to: listen4, command: softflowd, shutdown: softflowctl},
	{name: "softflowd v9", version: 9, ipv6: true, to: listen4, command: softflowd, shutdown: softflowctl},
	{name: "softflowd v9 over IPv6", version: 9, ipv6: true, to: listen6, command: softflowd, shutdown: softflowctl},
	{name: "softflowd IPFIX", version: 10, ipv6: true, to: listen4, command: softflowd, shutdown: softflowctl},
	{name: "softflowd IPFIX biflow", version: 10, ipv6: true, biflow: true, to: listen4, command: softflowd, shutdown: softflowctl},
	{name: "pmacctd v9", version: 9, ipv6: true, to: listen4, command: pmacctd},
	{name: "pmacctd IPFIX", version: 10, ipv6: true, to: listen4, command: pmacctd},
	{name: "fprobe v5", version: 5, to: listen4, command: fprobe},
}

// softflowd in the foreground heeds no signal, but has a control socket.
func softflowd(_ *testing.T, e *exporter, dir string) []string {
	args := []string{"softflowd", "-d", "-i", nearLink, "-v", fmt.Sprint(e.version), "-n", e.to,
		"-p", filepath.Join(dir, "softflowd.pid"), "-c", filepath.Join(dir, "softflowd.ctl")}
	args = append(args, e.args...)
	if e.biflow {
		args = append(args, "-b")
	}
	for _, timeout := range []string{"tcp=2", "tcp.fin=2", "tcp.rst=2", "udp=2", "icmp=2", "general=2", "expint=1"} {
		args = append(args, "-t", timeout)
	}
	return args
}

func softflowctl(dir string) []string {
	return []string{"softflowctl", "-c", filepath.Join(dir, "softflowd.ctl"), "shutdown"}
}

func pmacctd(t *testing.T, e *exporter, dir string) []string {
	config := filepath.Join(dir, "pmacctd.conf")
	lines := []string{
		"daemonize: false",
		"pcap_interface: " + nearLink,
		"plugins: nfprobe",
		"aggregate: src_host, dst_host, src_port, dst_port, proto, tos",
		"nfprobe_receiver: " + e.to,
		fmt.Sprint("nfprobe_version: ", e.version),
		"nfprobe_timeouts: tcp=2:tcp.fin=2:tcp.rst=2:udp=2:icmp=2:general=2:expint=1",
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"pmacctd", "-f", config}
}

func fprobe(_ *testing.T, e *exporter, _ string) []string {
	return []string{"fprobe", "-l", "2", "-u", "root", "-i", nearLink, "-f", "ip",
		"-n", fmt.Sprint(e.version), "-s", "1", "-d", "2", "-e", "10", e.to}
}

// run starts the exporter and waits until it watches the link. end makes it give away
// all flows and waits for its end.
func (e *exporter) run(t *testing.T, n *namespace) (end func()) {
	t.Helper()
	dir := t.TempDir()
	args := e.command(t, e, dir)
	p := n.start(t, args[0], args[1:]...)
	if !p.eventually(stepTimeout, p.captures) {
		t.Fatalf("%s does not watch the link after %v", args[0], stepTimeout)
	}
	return func() {
		if e.shutdown != nil {
			args := e.shutdown(dir)
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
			p.wait(stepTimeout)
		}
		p.stop(t)
	}
}

// captures reports whether a packet socket of the process, or of one that it has forked,
// receives: the columns R of /proc/net/packet, "running", and Inode.
func (p *process) captures() bool {
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/packet", p.cmd.Process.Pid))
	for i, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); i > 0 && len(f) > 8 && f[4] != "0" && f[5] == "1" && p.owns("socket:["+f[8]+"]") {
			return true
		}
	}
	return false
}

// owns reports whether a process of the group has the file open.
func (p *process) owns(file string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, f := range files {
		pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
		if to, err := os.Readlink(f); err == nil && to == file {
			if group, err := syscall.Getpgid(pid); err == nil && group == p.cmd.Process.Pid {
				return true
			}
		}
	}
	return false
}
