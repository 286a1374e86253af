//go:build integration || soak

package rules

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

const (
	offenders = 40 // a rule is quarantined after 100 alerts within an hour
	perRound  = 60 // hits
	threshold = 5
)

// callers is a rule that needs several of our hosts, so that no hit by itself raises it.
const callers = `title: Several of our hosts call one listed address
name: callers
over: hits
correlation: {type: value_count, group-by: [offender], timespan: 1d, condition: {field: local, gte: 5}}
`

// TestKill: killed again and again while hits come, the rules have raised one alert for each
// offender that enough of our hosts have called, as far as the hit log shows it, one more where
// the count has doubled, and none for others. A kill between the write of an alert to the journal
// and the note that it was sent may bring it again, with the same id.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 17))
	i := instance.New(t, "")
	own := instance.WriteFile(t, filepath.Join(i.Dir, "own.yml"), callers)
	bad := instance.WriteFile(t, filepath.Join(i.Dir, "bad.txt"), "62.0.0.0/24\n")
	i.Configure(t, fmt.Sprintf("home: [%s]\nhistory: {enabled: false}\nincidents: {enabled: false}\n"+
		"rules: {shipped: false, files: [%s]}\nintel: {feeds: [{name: bad, file: %s, category: c2, score: 90}]}\n", instance.Home, own, bad))
	hosts := 0
	for range rounds {
		i.Start(t)
		end := 1 + rnd.IntN(perRound)
		send(t, i, rnd, &hosts, end)
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		go i.Signal(syscall.SIGKILL) // while more come
		send(t, i, rnd, &hosts, perRound-end)
		i.Kill()
	}
	i.Start(t)
	i.Until(t, "all alerts are in the hit log", func() bool {
		called, raised := read(t, i)
		for offender, n := range called {
			if n >= threshold && len(raised[offender]) == 0 {
				return false
			}
		}
		return true
	})
	i.Stop()
	called, raised := read(t, i)
	again := 0
	for offender := range offenders {
		a := address(offender)
		n, alerts := called[a], raised[a]
		switch {
		case n < threshold && len(alerts) > 0, n >= threshold && len(alerts) == 0, n < 2*threshold && len(alerts) > 1, len(alerts) > 4:
			t.Errorf("%s was called by %d hosts, and there are %d alerts", a, n, len(alerts))
		}
		for _, lines := range alerts {
			again += lines - 1
		}
	}
	if again > rounds {
		t.Errorf("%d alerts are in the hit log again, more than one for each kill", again)
	}
	if len(raised) < offenders/8 || len(raised) == offenders {
		t.Errorf("%d of %d offenders have alerts: this shows nothing", len(raised), offenders)
	}
	t.Logf("%d kills, %d of %d hosts seen, %d of %d offenders with alerts, %d alerts twice", rounds, sum(called), hosts, len(raised), offenders, again)
}

func sum(called map[netip.Addr]int) (n int) {
	for _, x := range called {
		n += x
	}
	return n
}

func address(offender int) netip.Addr { return netip.AddrFrom4([4]byte{62, 0, 0, byte(offender)}) }

// send has so many hosts, each of them new, call an offender.
func send(t *testing.T, i *instance.Instance, rnd *rand.Rand, hosts *int, n int) {
	t.Helper()
	to := i.Address(t)
	if to == "" {
		return // it is gone already
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		*hosts++
		now := time.Now()
		// The higher an address, the rarer.
		offender := int(float64(offenders) * rnd.Float64() * rnd.Float64())
		f := synth.Flow{
			Src: netip.AddrFrom4([4]byte{10, 1, byte(*hosts >> 8), byte(*hosts)}), Dst: address(offender),
			SrcPort: uint16(20000 + *hosts), DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500,
		}
		d, _, err := enc.Encode(nil, []synth.Flow{f}, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(d); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// read counts in the hit log by how many hosts each offender was called, and the lines of each
// alert about it.
func read(t *testing.T, i *instance.Instance) (called map[netip.Addr]int, raised map[netip.Addr]map[uuid.UUID]int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(i.Dir, "hits.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	seen := make(map[netip.Addr]map[netip.Addr]bool)
	called, raised = make(map[netip.Addr]int), make(map[netip.Addr]map[uuid.UUID]int)
	for line := range strings.Lines(string(b)) {
		e, err := event.ParseJSON([]byte(line))
		if err != nil {
			if strings.HasSuffix(line, "\n") {
				t.Errorf("%v: %s", err, line)
			}
			continue // being written
		}
		switch {
		case e.Kind == event.KindHit:
			if seen[e.Offender] == nil {
				seen[e.Offender] = make(map[netip.Addr]bool)
			}
			if !seen[e.Offender][e.Local] {
				seen[e.Offender][e.Local] = true
				called[e.Offender]++
			}
		case e.Kind == event.KindAlert && e.Rule != nil:
			if raised[e.Offender] == nil {
				raised[e.Offender] = make(map[uuid.UUID]int)
			}
			raised[e.Offender][e.ID]++
		}
	}
	return called, raised
}
