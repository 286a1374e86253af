package app_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
	"go.uber.org/zap"
)

// ours gives the stacks of goroutines that run functions of this program, or were
// started by them, other than those of this test.
func ours() (stacks []string) {
	buf := make([]byte, 1<<20)
	for s := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(s, "testing.(*T).Parallel(") {
			continue // a test that waits for its turn
		}
		for line := range strings.Lines(s) {
			function := !strings.HasPrefix(line, "\t") // else the file of one
			if function && strings.Contains(line, "flowsnitch/") && !strings.Contains(line, "/app_test.") {
				stacks = append(stacks, s)
				break
			}
		}
	}
	return stacks
}

// TestStopUnderLoad stops an app while exporters of every version send to all of its
// sockets and somebody reloads and asks for its status: no goroutine of ours is left,
// and what was received was decoded.
func TestStopUnderLoad(t *testing.T) {
	a := app.New(config(t, stateDir(t), fmt.Sprintf(listen, several())), app.Options{Out: io.Discard}, zap.NewNop())
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if len(ours()) == 0 {
		t.Error("no goroutine of a running app is found")
	}
	done := make(chan struct{})
	var load sync.WaitGroup
	for _, l := range a.Status().Listeners {
		for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
			payloads := exports(t, v)
			load.Go(func() { shower(t, l.Address, payloads, done) })
		}
	}
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for range 5 {
			if err := a.Reload(); err != nil {
				t.Error(err)
			}
			a.Status()
		}
	})
	for deadline := time.Now().Add(patience); received(a) < 1000; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is received")
		}
	}
	reloads.Wait()
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(patience); len(ours()) > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // the last steps of one that has told its end
	}
	for _, s := range ours() {
		t.Errorf("a goroutine is left after Stop:\n%s", s)
	}
	close(done)
	load.Wait()
	s := a.Status()
	var decoded uint64
	for _, v := range s.Decoded.Versions {
		decoded += v.Datagrams
	}
	if n := received(a); n != decoded {
		t.Errorf("received %d datagrams, decoded %d", n, decoded)
	}
}

// received is the number of datagrams that the sockets have handed out.
func received(a *app.App) (n uint64) {
	for _, l := range a.Status().Listeners {
		n += l.Datagrams
	}
	return n
}

// exports gives a template, where there is one, and some data.
func exports(t *testing.T, v flow.Version) (payloads [][]byte) {
	t.Helper()
	enc, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	src, err := noise.NewSource(noise.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if d := enc.Templates(nil, now); d != nil {
		payloads = append(payloads, d)
	}
	for range 50 {
		f, _ := src.Next(now)
		d, _, err := enc.Encode(nil, []synth.Flow{f}, now)
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, d)
	}
	return payloads
}

// shower sends payloads again and again until done.
func shower(t *testing.T, to string, payloads [][]byte, done <-chan struct{}) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for {
		for _, p := range payloads {
			conn.Write(p) // refused after the end
		}
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
