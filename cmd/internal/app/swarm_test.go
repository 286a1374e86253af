package app

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"go.uber.org/zap"
)

// The swarm of November 2023, as it was written up: the tries of each day from the 10th on, and
// how many sources tried 1 to 8 times. The rise is that of the second day.
var (
	swarmDays    = []report.TryDay{{Day: "2023-11-10", Tries: 86}, {Day: "2023-11-11", Tries: 468}, {Day: "2023-11-12", Tries: 1307}, {Day: "2023-11-13", Tries: 1070}, {Day: "2023-11-14", Tries: 141}}
	swarmSources = []report.TryBar{{Times: 1, Sources: 1235}, {Times: 2, Sources: 469}, {Times: 3, Sources: 139}, {Times: 4, Sources: 51}, {Times: 5, Sources: 16}, {Times: 6, Sources: 27}, {Times: 7, Sources: 4}, {Times: 8, Sources: 1}}
	swarmBegin   = time.Date(2023, 11, 10, 0, 0, 0, 0, time.UTC)
)

// A knock is an unanswered try at the mail server.
type knock struct {
	at     time.Time
	source netip.Addr
}

// knocks are those of the swarm, after some days of background of about 100 a day.
func knocks(background int) (all []knock) {
	rnd := rand.New(rand.NewPCG(17, 1942))
	add := func(day int, source netip.Addr) {
		all = append(all, knock{swarmBegin.AddDate(0, 0, day).Add(time.Duration(rnd.Int64N(int64(24 * time.Hour)))), source})
	}
	for day := -background; day < 0; day++ {
		for range 95 + rnd.IntN(11) {
			add(day, netip.AddrFrom4([4]byte{81, 2, byte(rnd.IntN(256)), byte(rnd.IntN(256))}))
		}
	}
	var sources []netip.Addr
	next := 0
	for _, bar := range swarmSources {
		for range bar.Sources {
			for range bar.Times {
				sources = append(sources, netip.AddrFrom4([4]byte{62, 7, byte(next >> 8), byte(next)}))
			}
			next++
		}
	}
	rnd.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	for day, d := range swarmDays {
		for range d.Tries {
			add(day, sources[0])
			sources = sources[1:]
		}
	}
	slices.SortFunc(all, func(a, b knock) int { return a.at.Compare(b.at) })
	return all
}

// A wire gives a worker one datagram for each knock, when it is time.
type wire struct {
	t       *testing.T
	enc     *synth.Encoder
	knocks  []knock
	until   time.Time
	payload []byte
	ended   chan struct{}
}

// idle is how long a read of the wire waits: longer than that of a socket, as there are many
// days, but for the first seconds of an hour, so that no interval ends late.
func idle(now time.Time) time.Duration {
	if now.Sub(now.Truncate(time.Hour)) < 5*time.Second {
		return time.Second
	}
	return min(30*time.Second, now.Truncate(time.Hour).Add(time.Hour).Sub(now))
}

// Read waits for the next knock.
func (w *wire) Read(batch []flow.Datagram) (int, error) {
	now := time.Now()
	if len(w.knocks) == 0 && !now.Before(w.until) {
		select {
		case <-w.ended:
			return 0, net.ErrClosed
		case <-time.After(idle(now)):
			return 0, nil
		}
	}
	if len(w.knocks) == 0 || w.knocks[0].at.Sub(now) > idle(now) {
		time.Sleep(idle(now))
		return 0, nil
	}
	k := w.knocks[0]
	w.knocks = w.knocks[1:]
	time.Sleep(k.at.Sub(now))
	f := synth.Flow{Src: k.source, Dst: netip.MustParseAddr("62.5.0.25"), SrcPort: uint16(1024 + len(w.knocks)), DstPort: 25, Protocol: 6, TCPFlags: 2, Packets: 1, Bytes: 60}
	var err error
	if w.payload, err = w.enc.EncodeAlone(w.payload[:0], []synth.Flow{f}, k.at); err != nil {
		w.t.Error(err)
	}
	batch[0] = flow.Datagram{Payload: w.payload, Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Now()}
	return 1, nil
}

// TestSwarm: the swarm of the write-up, as datagrams through the whole app but for its sockets. The
// rule swarm raises an alert within six hours of the rise of 11 November, no rule about single
// sources does, though all of them are listed (v9), and the report has the days, the histogram and
// the totals of the write-up exactly.
func TestSwarm(t *testing.T) {
	versions := []flow.Version{flow.V9, flow.SFlow}
	if testing.Short() || raceDetector { // eight days take several times as long with the race detector
		versions = versions[1:]
	}
	for _, version := range versions {
		t.Run(version.String(), func(t *testing.T) {
			dir := shortDir(t)
			synctest.Test(t, func(t *testing.T) { swarmThroughApp(t, dir, version) })
		})
	}
}

// notInSwarm are the parts of the app that the test does without: sockets, and what looks at the machine.
var notInSwarm = []string{"control socket", "web", "listeners", "canary", "service manager", "background", "dnsbl", "retro-hunt", "hunt", "quarantine"}

func swarmThroughApp(t *testing.T, dir string, version flow.Version) {
	const background = 3
	first := swarmBegin.AddDate(0, 0, -background)
	time.Sleep(time.Until(first)) // synctest begins in the year 2000
	listed := "62.7.0.0/16"
	if version == flow.SFlow { // the same, of sources that nobody lists
		listed = "203.0.113.9"
	}
	cfg, err := configs.Parse("test", fmt.Appendf(nil, `
name: test
profile: edge # saves and flushes less often, as ten days are to pass in seconds
journal: {durability: memory}
state_dir: %s
home: [62.5.0.0/16]
intel: {deny: [%s]}
listen: [{udp: "127.0.0.1:0"}]
canary: {every: 0s}
web: {listen: ''}
`, dir, listed))
	if err != nil {
		t.Fatal(err)
	}
	a := New(cfg, Options{Out: io.Discard}, zap.NewNop())
	var started []part
	for _, p := range a.parts {
		if slices.Contains(notInSwarm, p.name) {
			continue
		}
		if err := p.Start(); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		started = append(started, p)
	}
	enc, err := synth.NewEncoder(synth.Config{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	end := swarmBegin.AddDate(0, 0, len(swarmDays))
	w := &wire{t: t, enc: enc, knocks: knocks(background), until: end, ended: make(chan struct{})}
	worker := a.newWorker(w, 16)
	worker.Start()
	time.Sleep(time.Until(end.Add(30 * time.Minute)))
	synctest.Wait()

	made, err := a.reports.make(context.Background(), report.Options{From: swarmBegin, Until: end, MaxTLP: "green"})
	if err != nil {
		t.Fatal(err)
	}
	checkSwarm(t, made)

	close(w.ended)
	worker.Wait()
	for _, p := range slices.Backward(started) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.Stop(ctx); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		cancel()
	}
}

// checkSwarm checks the report of the five days.
func checkSwarm(t *testing.T, made *report.Report) {
	t.Helper()
	for _, a := range made.Figures.Alerts {
		if a.Name != "rule_swarm" && a.Name != "rule_swarm_hits" {
			t.Errorf("alert %s: %s", a.Name, a.Reason)
		}
	}
	i := slices.IndexFunc(made.Rules, func(r report.RuleAlert) bool { return r.Name == "swarm" })
	if i < 0 {
		t.Fatalf("no alert of swarm; the report has %+v", made.Rules)
	}
	swarm := made.Rules[i]
	rise := swarmBegin.AddDate(0, 0, 1)
	if swarm.First.Before(rise) || swarm.First.After(rise.Add(6*time.Hour)) {
		t.Errorf("the first alert is of %s", swarm.First)
	}
	n := swarm.Attempts
	if n == nil || n.Tries != 3072 || n.Sources != 1942 || n.More || n.Missing != 0 || n.Lost != 0 || n.Error != "" ||
		!reflect.DeepEqual(n.Days, swarmDays) || !reflect.DeepEqual(n.Histogram, swarmSources) {
		t.Errorf("the history has %+v", n)
	}
	var text strings.Builder
	if err := made.Text(&text); err != nil {
		t.Fatal(err)
	}
	one := strings.Join(strings.Fields(text.String()), " ")
	wants := []string{"3072 tries by 1942 addresses", "swarm: "}
	for _, d := range swarmDays {
		wants = append(wants, fmt.Sprintf("%d tries", d.Tries))
	}
	for _, b := range swarmSources[:7] {
		wants = append(wants, fmt.Sprintf("%d addresses", b.Sources))
	}
	for _, want := range append(wants, "# 1 address") {
		if !strings.Contains(one, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(text.String())
	}
}
