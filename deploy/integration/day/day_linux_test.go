//go:build soak

package day

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The day.
const (
	flows     = 2_000_000
	hitShare  = "0.0005" // of the flows
	length    = 8 * time.Minute
	changes   = 6 // of the list
	start     = time.Minute
	entries   = 100_000
	offenders = "62.0.0.0/24"
	every     = 5 * time.Second // samples
)

// TestDay has a busy site and, beside it, a quiet one: few flows, and none is a hit.
func TestDay(t *testing.T) {
	needDisk(t)
	busy, quiet := newSite(t), newSite(t)
	rate := int(flows / length.Seconds())
	gen := busy.send(t, rate, "--count", strconv.Itoa(flows), "--hits", hitShare, "--hit-list", offenders)
	quiet.send(t, 10, "--duration", length.String())
	time.Sleep(start)
	begun := quiet.written(t)
	var samples []sample
	for n, end := 1, time.Now().Add(length-start); time.Now().Before(end); n++ {
		samples = append(samples, busy.sample(t))
		if n%(int(length/every)/changes) == 0 {
			busy.change(t, n)
		}
		time.Sleep(every)
	}
	_ = gen.Wait()
	st := busy.received(t)
	flat(t, samples)
	steady := quiet.written(t) - begun
	// Files of state are written again every ten minutes at most, which the time here is
	// too short for.
	perDay := steady*int(24*time.Hour/(length-start)) + quiet.state(t)*24*6
	copied := busy.copied(t)
	t.Logf("quiet site: %d kB in %v, %d kB a day; %d kB at its start, for the copy of the list and its first state",
		steady/1000, length-start, perDay/1000, begun/1000)
	t.Logf("busy site: %d flows, %d hits, %d events: %d kB in %v, of which %d kB for each of %d changes of the list; "+
		"%d kB a day without them when each event comes alone", flows, st.Hits.Found, st.Journal.Appended, busy.written(t)/1000,
		length, copied/1000, changes, (perDay+int(st.Journal.Appended)*os.Getpagesize())/1000)
}

// A site is an instance and the list that it reads.
type site struct {
	*instance.Instance
	list string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{list: filepath.Join(t.TempDir(), "bad.txt")}
	s.change(t, 0)
	s.Instance = instance.New(t, fmt.Sprintf("profile: edge\nhome: [10.0.0.0/8]\nintel: {feeds: [{name: list, file: %s}], deny: [%s]}\n", s.list, offenders))
	s.Start(t)
	return s
}

// change writes the list, of which the last entry is the nth.
func (s *site) change(t *testing.T, n int) {
	t.Helper()
	f, err := os.Create(s.list + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range entries {
		i += n
		if _, err := fmt.Fprintf(f, "%d.%d.%d.1\n", 70+i>>16, i>>8&255, i&255); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(f.Name(), s.list); err != nil {
		t.Fatal(err)
	}
}

// send starts three exporters.
func (s *site) send(t *testing.T, rate int, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(instance.Binary(t, "flowgen"), append(args, "--to", s.Address(t), "--version", "v9", "--home", "10.0.0.0/8",
		"--exporters", "3", "--rate", strconv.Itoa(rate))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// A status is what the test reads of the running instance.
type status struct {
	instance.StreamStatus
	Decoded struct {
		Versions map[string]struct {
			Records int `json:"records"`
		} `json:"versions"`
	} `json:"decoded"`
	Journal struct {
		Appended uint64 `json:"appended"`
	} `json:"journal"`
	Memory struct {
		Goroutines int `json:"goroutines"`
	} `json:"memory"`
}

// received waits until all flows of the day have been decoded.
func (s *site) received(t *testing.T) (st status) {
	t.Helper()
	s.Until(t, "all flows are decoded", func() bool {
		st = status{}
		return s.Status(t, &st) && st.Decoded.Versions["v9"].Records >= flows
	})
	s.LostNothing(t)
	if st.Hits.Found == 0 {
		t.Error("no hits")
	}
	return st
}
