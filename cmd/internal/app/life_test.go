package app_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"go.uber.org/zap"
)

// patience bounds every wait: whatever takes longer hangs.
const patience = time.Minute

// stateDir makes a folder with a path that is short enough for a socket.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// config gives a configuration with several of everything, on loopback.
func config(t *testing.T, dir, more string) configs.Config {
	t.Helper()
	if !strings.Contains(more, "canary:") {
		more += "\ncanary: {every: 0s}\n" // most tests count what comes
	}
	if !strings.Contains(more, "web:") {
		more += "\nweb: {listen: ''}\n" // they run side by side
	}
	c, err := configs.Parse("test", []byte(fmt.Sprintf(`
name: test
state_dir: %s
exporters: [{name: edge, address: 192.0.2.1}]
intel: {deny: [203.0.113.9]}
%s`, dir, more)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const listen = `listen: [{udp: "127.0.0.1:0", forward: ["127.0.0.1:9"]}, {udp: "127.0.0.1:0", sockets: %d}]` + "\n"

// several is how many sockets may share an address here.
func several() int {
	if runtime.GOOS == "linux" {
		return 3
	}
	return 1
}

// resources counts goroutines and open files.
func resources(t *testing.T) (goroutines, files int) {
	t.Helper()
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return runtime.NumGoroutine(), len(entries)
		}
	}
	return runtime.NumGoroutine(), 0
}

// leavesNothing runs f and waits until there are as many goroutines and open files
// as before.
func leavesNothing(t *testing.T, f func()) {
	t.Helper()
	goroutines, files := resources(t)
	f()
	deadline := time.Now().Add(patience)
	for {
		g, n := resources(t)
		if g <= goroutines && n <= files {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d open files, before %d and %d\n%s", g, n, goroutines, files, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestStartStop: an app gives everything back, and can follow itself at once.
func TestStartStop(t *testing.T) {
	dir := stateDir(t)
	for range 3 {
		leavesNothing(t, func() {
			a := app.New(config(t, dir, fmt.Sprintf(listen, several())), app.Options{Out: io.Discard}, zap.NewNop())
			if err := a.Start(); err != nil {
				t.Fatal(err)
			}
			if s := a.Status(); s.Starting || len(s.Listeners) != 2 || s.Listeners[1].Sockets != several() || s.Intel.Indicators != 1 {
				t.Errorf("status %+v", s)
			}
			if err := a.Reload(); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := a.Stop(); err != nil {
					t.Error(err)
				}
			}
			if s := a.Status(); len(s.Listeners) != 2 {
				t.Errorf("status after the end %+v", s)
			}
		})
	}
}

// TestStopWithoutStart: there is nothing to end.
func TestStopWithoutStart(t *testing.T) {
	leavesNothing(t, func() {
		a := app.New(config(t, stateDir(t), ""), app.Options{}, zap.NewNop())
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
		if s := a.Status(); !s.Starting {
			t.Errorf("status %+v", s)
		}
	})
}

// TestStartFails lets each stage of Start fail: what was opened before is given
// back, the control socket is gone, and the next attempt can succeed.
func TestStartFails(t *testing.T) {
	dir := stateDir(t)
	busy, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	busyWeb, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busyWeb.Close()
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte("no prefix\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := stateDir(t)
	running := app.New(config(t, other, fmt.Sprintf(listen, 1)+"journal: {durability: memory}\n"), app.Options{Out: io.Discard}, zap.NewNop())
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer running.Stop()

	all := fmt.Sprintf(listen, several())
	for _, tt := range []struct {
		stage, dir, config, want string
		lists                    []string
	}{
		{"state directory", filepath.Join(words, "x"), all, "not a directory", nil},
		{"control socket", other, all, "another flowsnitch is running", nil},
		{"web server", dir, all + "web: {listen: \"" + busyWeb.Addr().String() + "\"}\n", "is in use by another process", nil},
		{"list missing", dir, all, "no such file", []string{filepath.Join(dir, "none")}},
		{"list without prefixes", dir, all, "no prefix in it", []string{words}},
		{"second sink", dir, all + "sinks: [{jsonlog: {path: " + dir + "/a.json}}, {console: {}}, {jsonlog: {path: " + words + "/b.json}}]\n", "not a directory", nil},
		{"hit log of another", dir, all + "sinks: [{jsonlog: {path: " + other + "/hits.json}}]\n", "is written by another process", nil},
		{"hit log is a directory", dir, all + "sinks: [{jsonlog: {path: " + dir + "}}]\n", "is not a regular file", nil},
		{"third listener", dir, strings.Replace(all, "}]\n", fmt.Sprintf("}, {udp: %q}]\n", busy.LocalAddr()), 1), "port in use", nil},
	} {
		t.Run(tt.stage, func(t *testing.T) {
			leavesNothing(t, func() {
				a := app.New(config(t, tt.dir, tt.config), app.Options{Out: io.Discard, Lists: tt.lists}, zap.NewNop())
				if err := a.Start(); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q in it", err, tt.want)
				}
				if err := a.Stop(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(filepath.Join(dir, "control.sock")); !os.IsNotExist(err) {
					t.Errorf("a control socket is left behind (%v)", err)
				}
			})
		})
	}
	leavesNothing(t, func() {
		a := app.New(config(t, dir, all), app.Options{Out: io.Discard}, zap.NewNop())
		if err := a.Start(); err != nil {
			t.Error(err)
		}
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestStatusAnytime asks for the status from the side during a whole life.
func TestStatusAnytime(t *testing.T) {
	a := app.New(config(t, stateDir(t), fmt.Sprintf(listen, 1)), app.Options{Out: io.Discard}, zap.NewNop())
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				a.Status()
			}
		}
	})
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := a.Reload(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	close(done)
	asking.Wait()
}
