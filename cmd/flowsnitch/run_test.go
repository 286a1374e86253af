package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// patience bounds every wait of these tests: whatever takes longer hangs.
const patience = time.Minute

// A syncBuffer is a stream that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// An instance is a 'flowsnitch run' with a configuration of its own.
type instance struct {
	config, list, dir string
	out, err          syncBuffer
	stop              context.CancelFunc
	ended             chan struct{} // closed when code is there
	code              int
}

// shortDir makes a folder with a short path: a socket takes about 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a collector on loopback, IPv4 and IPv6, with one list.
func start(t *testing.T, list string) *instance {
	t.Helper()
	return startIn(t, shortDir(t), list)
}

// startIn is start with a state directory, and with more lines of configuration. Without
// them there is no self-test, for most tests count what comes, and no metrics.
func startIn(t *testing.T, dir, list string, more ...string) *instance {
	t.Helper()
	i := &instance{dir: dir, ended: make(chan struct{})}
	if !slices.ContainsFunc(more, func(s string) bool { return strings.Contains(s, "canary:") }) {
		more = append(more, "canary: {every: 0s}")
	}
	if !slices.ContainsFunc(more, func(s string) bool { return strings.Contains(s, "web:") }) {
		more = append(more, `web: {listen: ""}`)
	}
	i.config, i.list = filepath.Join(i.dir, "f.yml"), filepath.Join(i.dir, "bad.txt")
	i.write(t, i.list, list)
	i.write(t, i.config, fmt.Sprintf("name: test\nstate_dir: %s\nlisten: [{udp: \"127.0.0.1:0\"}, {udp: \"[::1]:0\", sockets: 1}]\n%s\n", i.dir, strings.Join(more, "\n")))
	ctx, cancel := context.WithCancel(t.Context())
	i.stop = cancel
	go func() {
		defer close(i.ended)
		i.code = execute(ctx, []string{"run", "-c", i.config, "--intel", i.list}, strings.NewReader(""), &i.out, &i.err)
	}()
	t.Cleanup(func() { i.end(t) }) // before the folder goes, and before the next test
	eventually(t, "it listens", func() bool {
		select {
		case <-i.ended:
			t.Fatalf("it ended by itself with code %d: %s", i.code, i.err.String())
		default:
		}
		return strings.Contains(i.err.String(), " listens on ")
	})
	return i
}

func (i *instance) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// end stops the collector as Ctrl-C does, waits for its end, and gives its exit code; once
// more, it gives the same.
func (i *instance) end(t *testing.T) int {
	t.Helper()
	i.stop()
	select {
	case <-i.ended:
		return i.code
	case <-time.After(patience):
		t.Fatalf("it does not end: %s", i.err.String())
		return -1
	}
}

// status asks the collector as 'flowsnitch status' does.
func (i *instance) status(t *testing.T) app.Status {
	t.Helper()
	r := command(t, "status", "-c", i.config, "--json")
	if r.code != exitDone {
		t.Fatalf("status: exit code %d: %s", r.code, r.err)
	}
	var s app.Status
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// hits reads the hit log.
func (i *instance) hits(t *testing.T) []map[string]any {
	t.Helper()
	return readLines(t, read(t, filepath.Join(i.dir, "hits.json")))
}

// eventually waits until what is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}

// send sends datagrams from a socket of its own.
func send(t *testing.T, to string, payloads [][]byte) (bytes uint64) {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, p := range payloads {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
		bytes += uint64(len(p))
	}
	return bytes
}

// TestRun sends export of every protocol over IPv4 and IPv6. The hits are in the hit
// log and on standard output, and the status adds up to what was sent.
func TestRun(t *testing.T) {
	i := start(t, "203.0.113.9\n203.0.113.0/24\n2001:db8:bad::/48\n")
	greeting := i.err.String()
	s := i.status(t)
	for _, l := range s.Listeners {
		if !strings.Contains(greeting, "udp "+l.Address) {
			t.Errorf("the greeting does not name %s: %q", l.Address, greeting)
		}
	}
	if !strings.Contains(greeting, ", 3 indicators, state in "+i.dir+"\nhit log "+filepath.Join(i.dir, "hits.json")+"\n") {
		t.Errorf("greeting %q", greeting)
	}

	flows := []synth.Flow{tcpFlow(weAddr, 51515, badAddr, 443), tcpFlow(weAddr, 51516, elseAddr, 443), tcpFlow(elseAddr, 40000, weAddr, 22)}
	flows6 := append([]synth.Flow{tcpFlow(we6, 51517, bad6, 443)}, flows...)
	sent := map[string]*app.VersionStatus{}
	datagrams, bytes := make([]uint64, 2), make([]uint64, 2)
	now := time.Now()
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		told := flows6
		if v == flow.V5 {
			told = flows
		}
		sent[v.String()] = &app.VersionStatus{}
		for j, l := range s.Listeners {
			payloads := exportOf(t, v, now, told...)
			n := send(t, l.Address, payloads)
			datagrams[j] += uint64(len(payloads))
			bytes[j] += n
			sent[v.String()].Datagrams += uint64(len(payloads))
			sent[v.String()].Bytes += n
			sent[v.String()].Records += uint64(len(told))
		}
	}
	const hits = 2 * (1 + 3*2) // each listener: one of v5, two of each other
	eventually(t, "all is read and written", func() bool {
		s = i.status(t)
		return s.Hits.Correlator.Hits == hits && s.Sinks[0].Sent == s.Sinks[1].Sent && s.Sinks[0].Pending+s.Sinks[1].Pending == 0 &&
			s.Sinks[0].Sent == s.Hits.Correlator.HitEvents+s.Hits.Correlator.UpdateEvents
	})
	s = i.status(t) // all at rest
	for j, l := range s.Listeners {
		if l.Datagrams != datagrams[j] || l.Bytes != bytes[j] || l.Refused+l.KernelDrops+l.Truncated+l.ReadErrors+l.Unread != 0 {
			t.Errorf("listener %+v; sent were %d datagrams, %d bytes", l, datagrams[j], bytes[j])
		}
	}
	for name, want := range sent {
		if got := s.Decoded.Versions[name]; got != *want {
			t.Errorf("%s: %+v, want %+v", name, got, *want)
		}
	}
	if d := s.Decoded; d.NoAddress+d.UnknownSets+d.UnknownBytes != 0 || anyProblem(d.Problems) {
		t.Errorf("decoded %+v, want no problem", d)
	}
	if h := s.Hits; h.Found != hits || h.HitQueueFull != 0 || h.Correlator.HitEvents < 2 {
		t.Errorf("hits %+v, want %d", h, hits)
	}

	for _, offender := range []string{"203.0.113.9", "2001:db8:bad::9"} {
		if n := countHits(i.hits(t), offender); n != 1 {
			t.Errorf("%d hits of %s in the hit log, want 1 a contact", n, offender)
		}
		if !strings.Contains(i.out.String(), offender) {
			t.Errorf("no %s on standard output: %q", offender, i.out.String())
		}
	}
	if want := "10.0.0.5:51515 -> 203.0.113.9:443 (TCP) "; !strings.Contains(i.out.String(), want) {
		t.Errorf("no %q on standard output: %q", want, i.out.String())
	}
	if r := command(t, "status", "-c", i.config); r.code != exitDone || !strings.Contains(r.out, fmt.Sprintf("\ndecoded    v5: %d datagrams, %d flow records", sent["v5"].Datagrams, sent["v5"].Records)) {
		t.Errorf("status for people: %+v", r)
	}
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, i.err.String())
	}
	checkSummary(t, i, s)
}

// countHits counts the events of kind hit of an offender.
func countHits(events []map[string]any, offender string) (n int) {
	for _, e := range events {
		if e["kind"] == "hit" && e["flowsnitch"].(map[string]any)["offender"] == offender {
			n++
		}
	}
	return n
}

// checkSummary looks at what an ended collector leaves behind.
func checkSummary(t *testing.T, i *instance, s app.Status) {
	t.Helper()
	for _, want := range []string{
		"\nran ", fmt.Sprintf("\nlistener   udp %s: %d datagrams, ", s.Listeners[0].Address, s.Listeners[0].Datagrams),
		fmt.Sprintf("\nhits       %d found, ", s.Hits.Found), "\nsink       jsonlog:" + filepath.Join(i.dir, "hits.json") + ": ",
	} {
		if !strings.Contains(i.err.String(), want) {
			t.Errorf("no %q in the summary: %s", want, i.err.String())
		}
	}
	if _, err := os.Stat(filepath.Join(i.dir, "control.sock")); !os.IsNotExist(err) {
		t.Errorf("the control socket is left behind (%v)", err)
	}
	i.hits(t) // whole lines
}

// hangUp sends SIGHUP to this process, which outlives it whoever listens.
func hangUp(t *testing.T) {
	t.Helper()
	survive := make(chan os.Signal, 1)
	signal.Notify(survive, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(survive) })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// TestReload: SIGHUP takes up a new list, and keeps the old one when the new one, or
// the configuration, is wrong.
func TestReload(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	to := i.status(t).Listeners[0].Address
	sees := func(flows ...synth.Flow) {
		t.Helper()
		before := i.status(t).Hits.Found
		eventually(t, "a hit", func() bool { // a datagram may come before the new list
			send(t, to, exportOf(t, flow.V5, time.Now(), flows...))
			return i.status(t).Hits.Found > before
		})
	}
	said := func(n int, what string) {
		t.Helper()
		eventually(t, what, func() bool { return strings.Count(i.err.String(), what) >= n })
	}
	i.write(t, i.list, "198.51.100.80\n203.0.113.9\n")
	hangUp(t)
	said(1, `info reloaded {"indicators": 2}`)
	sees(tcpFlow(elseAddr, 40000, weAddr, 22))

	good := read(t, i.config)
	i.write(t, i.config, good+"nam: x\n")
	hangUp(t)
	said(1, "error reload: "+i.config+":6:1: nam: unknown key; ")
	said(1, "; the old configuration stays in force")
	i.write(t, i.config, good) // 'status' reads it too
	sees(tcpFlow(elseAddr, 40000, weAddr, 22))

	if err := os.Remove(i.list); err != nil {
		t.Fatal(err)
	}
	hangUp(t)
	said(1, "error reload: list "+i.list+": no such file or directory; the old set stays in force")
	sees(tcpFlow(elseAddr, 40000, weAddr, 22))

	i.write(t, i.list, "203.0.113.9\n")
	hangUp(t)
	said(1, `info reloaded {"indicators": 1}`)
	before := i.status(t).Hits.Found
	send(t, to, exportOf(t, flow.V5, time.Now(), tcpFlow(elseAddr, 40000, weAddr, 22)))
	sees(tcpFlow(weAddr, 51515, badAddr, 443))
	if found := i.status(t).Hits.Found; found == before {
		t.Errorf("no hit of what is still listed")
	}
	if n := countHits(i.hits(t), "198.51.100.80"); n != 1 {
		t.Errorf("%d contacts of the address that was listed for a while, want 1", n)
	}
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestReopen: after logrotate has moved the hit log, SIGHUP makes a new one.
func TestReopen(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	to, log := i.status(t).Listeners[0].Address, filepath.Join(i.dir, "hits.json")
	send(t, to, exportOf(t, flow.V5, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443)))
	eventually(t, "the hit is written", func() bool { return len(i.hits(t)) == 1 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	hangUp(t)
	eventually(t, "a new hit log", func() bool { _, err := os.Stat(log); return err == nil })
	send(t, to, exportOf(t, flow.V5, time.Now(), tcpFlow(weAddr, 51515, badAddr, 8443)))
	eventually(t, "the hit is in the new one", func() bool { return len(i.hits(t)) == 1 })
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if old := readLines(t, read(t, log+".1")); len(old) != 1 {
		t.Errorf("%d lines in the old hit log, want 1", len(old))
	}
}

// TestSecondInstance: two do not share a state directory, and the first stays as it was.
func TestSecondInstance(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	r := command(t, "run", "-c", i.config)
	want := filepath.Join(i.dir, "control.sock") + ": another flowsnitch is running with this state directory; stop it, or set another state_dir"
	checkError(t, r, exitFailed, want)
	send(t, i.status(t).Listeners[0].Address, exportOf(t, flow.V5, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443)))
	eventually(t, "the first sees a hit", func() bool { return i.status(t).Hits.Found == 1 })
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestRestart: data of after a restart is read with the templates of before.
func TestRestart(t *testing.T) {
	for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
		t.Run(v.String(), func(t *testing.T) {
			payloads := exportOf(t, v, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443))
			i := start(t, "203.0.113.9\n")
			send(t, i.status(t).Listeners[0].Address, payloads[:1])
			eventually(t, "the templates are there", func() bool { return i.status(t).Decoded.Templates > 0 })
			if code := i.end(t); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			i = startIn(t, i.dir, "203.0.113.9\n")
			send(t, i.status(t).Listeners[0].Address, payloads[1:])
			eventually(t, "a hit", func() bool { return i.status(t).Hits.Found == 1 })
			if s := i.status(t); s.Decoded.UnknownSets != 0 {
				t.Errorf("%d sets of unknown templates", s.Decoded.UnknownSets)
			}
			if code := i.end(t); code != exitDone {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestCutOverUDP sends datagrams that are cut at every byte, and nonsense: the
// collector counts them and goes on.
func TestCutOverUDP(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	to := i.status(t).Listeners[0].Address
	sent := uint64(1)
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for _, whole := range exportOf(t, v, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443)) {
			for n := 1; n < len(whole); n++ {
				send(t, to, [][]byte{whole[:n]})
				if sent++; sent%64 == 0 { // so that the kernel's buffer has room for all
					want := sent - 1
					eventually(t, "all is read", func() bool { return i.status(t).Listeners[0].Datagrams == want })
				}
			}
		}
	}
	send(t, to, [][]byte{[]byte("nonsense")})
	eventually(t, "all is read", func() bool { return i.status(t).Listeners[0].Datagrams == sent })
	send(t, to, exportOf(t, flow.IPFIX, time.Now(), tcpFlow(weAddr, 51999, badAddr, 8443)))
	eventually(t, "the last hit", func() bool { return strings.Contains(i.out.String(), "10.0.0.5:51999") })
	if s := i.status(t); s.Decoded.Problems["not_export"] == 0 || s.Decoded.Problems["short_header"] == 0 {
		t.Errorf("problems %v", s.Decoded.Problems)
	}
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestRunFails: what cannot be opened is named, and so is what to do.
func TestRunFails(t *testing.T) {
	busy, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	words := file(t, "words", "words")
	dir := shortDir(t)
	long := filepath.Join(dir, strings.Repeat("long", 25))
	for _, tt := range []struct {
		name, config, want string
	}{
		{"port in use", fmt.Sprintf("state_dir: %s\nlisten: [{udp: %q}]\n", dir, busy.LocalAddr()),
			fmt.Sprintf(`listen udp %s: port in use by another process; choose another with listen: [{udp: ":PORT"}], or stop the process that "ss -lunp" names (address already in use)`, busy.LocalAddr())},
		{"no such address", fmt.Sprintf("state_dir: %s\nlisten: [{udp: \"192.0.2.1:2055\"}]\n", dir),
			"listen udp 192.0.2.1:2055: no interface of this machine has that address (cannot assign requested address)"},
		{"state directory in a file", "state_dir: " + words + "/state\n",
			"state directory " + words + "/state: not a directory; set state_dir to one that can be written"},
		{"state directory with a long path", "state_dir: " + long + "\n",
			fmt.Sprintf("control socket %s/control.sock: invalid argument; its path has %d bytes, of which a socket takes 103: set a shorter state_dir", long, len(long)+len("/control.sock"))},
		{"hit log in a file", "state_dir: " + dir + "\nsinks: [{jsonlog: {path: " + words + "/hits.json}}]\n",
			"hit log " + words + "/hits.json.lock: not a directory"},
		{"hit log is a directory", "state_dir: " + dir + "\nsinks: [{jsonlog: {path: " + dir + "}}]\n",
			"hit log " + dir + ": is not a regular file, the hit log must be one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkError(t, command(t, "run", "-c", file(t, "f.yml", tt.config)), exitFailed, tt.want)
		})
	}
}

// anyProblem reports whether something could not be decoded, for whatever reason.
func anyProblem(reasons map[decode.Reason]uint64) bool {
	for _, n := range reasons {
		if n > 0 {
			return true
		}
	}
	return false
}
