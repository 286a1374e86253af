package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A result is one receiver in one round.
type result struct {
	perFlow float64 // CPU time of a received flow, ns
	atStop  float64 // the same with what is done when the program is stopped
	kept    float64 // bytes on the disk of a received flow
	loss    float64 // share of the datagrams sent
	rate    float64 // flows sent per second
}

// How long a receiver may take until it is ready, and until it has worked off what
// it was sent.
const patience = 2 * time.Minute

// measure sends to a receiver once.
func (b *bench) measure(r receiver, version string) (res result, err error) {
	dir, err := os.MkdirTemp(b.dir, "receiver-")
	if err != nil {
		return res, err
	}
	addr, err := freePort()
	if err != nil {
		return res, err
	}
	args, err := r.command(dir, addr)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return res, err
	}
	res, before, flows, err := b.load(r, version, cmd.Process.Pid, addr)
	if err == nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // what is in memory is written
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
	} else {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait()
	if err != nil {
		return res, fmt.Errorf("%w\n%s", err, &out)
	}
	total := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	res.atStop, res.kept = float64(total-before)/flows, float64(recorded(dir))/flows
	return res, os.RemoveAll(dir)
}

// recorded is the size of what was kept of flows: the files of nfcapd, or of the history.
func recorded(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err == nil && (strings.HasPrefix(d.Name(), "nfcapd.") || strings.HasSuffix(d.Name(), ".parquet")) {
			n += info.Size()
		}
		return nil
	})
	return n
}

// load waits until the process listens and rests, sends, and waits until it rests again. It
// gives the CPU time before, and the number of flows received, too.
func (b *bench) load(r receiver, version string, pid int, addr netip.AddrPort) (res result, before time.Duration, flows float64, err error) {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err = drops(addr); err == nil {
			break
		}
		if _, e := cpuTime(pid); e != nil || time.Now().After(end) {
			return res, 0, 0, errors.Join(err, e)
		}
	}
	before, err = rest(pid)
	if err != nil {
		return res, 0, 0, err
	}
	sent, err := b.send(r.rate, version, addr)
	if err != nil {
		return res, 0, 0, err
	}
	after, err := rest(pid)
	if err != nil {
		return res, 0, 0, err
	}
	dropped, err := drops(addr)
	res.loss = float64(dropped) / float64(sent.Datagrams)
	flows = float64(sent.Flows) * (1 - res.loss)
	res.perFlow = float64(after-before) / flows
	res.rate = sent.Rate
	return res, before, flows, err
}

// sent is the summary of flowgen.
type sent struct {
	Datagrams, Flows uint64
	Rate             float64           `json:"flows_per_s"`
	Errors           map[string]uint64 `json:"errors"`
}

func (b *bench) send(rate int, version string, addr netip.AddrPort) (s sent, err error) {
	out, err := exec.Command(b.path("flowgen"), "--to", addr.String(), "--version", version,
		"--rate", fmt.Sprint(rate), "--duration", b.duration.String(), "--home", home, "--json").Output()
	if err != nil {
		return s, fmt.Errorf("flowgen: %w", err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, err
	}
	for reason, n := range s.Errors {
		if n > 0 {
			return s, fmt.Errorf("flowgen: %d datagrams not sent: %s", n, reason)
		}
	}
	return s, nil
}

// rest waits until a process uses next to no CPU time, and gives its total.
func rest(pid int) (time.Duration, error) {
	const interval, little = 300 * time.Millisecond, 3 * time.Millisecond
	last, err := cpuTime(pid)
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
		time.Sleep(interval)
		now, e := cpuTime(pid)
		if e == nil && now-last < little {
			return now, nil
		}
		last, err = now, e
	}
	return last, errors.Join(err, errors.New("the process does not come to rest"))
}

// cpuTime gives the user and system time of a process with all its threads.
func cpuTime(pid int) (time.Duration, error) {
	// The clock of another process: see clock_getcpuclockid(3).
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|sched, &ts); err != nil {
		return 0, fmt.Errorf("process %d has ended: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// drops gives how many datagrams the kernel has dropped at the sockets of an address of
// 127.0.0.1, and an error when nobody listens there.
func drops(addr netip.AddrPort) (n uint64, err error) {
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 13 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", addr.Port())) {
			continue
		}
		count, err := strconv.ParseUint(f[12], 10, 64)
		if err != nil {
			return 0, err
		}
		n, found = n+count, true
	}
	if !found {
		return 0, fmt.Errorf("nobody listens on %v", addr)
	}
	return n, nil
}

// freePort gives an address of loopback that nobody uses.
func freePort() (netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}
