package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/correlate/storm"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"go.uber.org/zap"
)

// hangs is how long something may take at most.
const hangs = 10 * time.Second

// until waits for something to come true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hangs); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", hangs, what)
		}
	}
}

// A watched app is one with feeds, whose hit log can be read.
type watched struct {
	*App
	dir string
}

// observe starts an app with the feeds of a configuration.
func observed(t *testing.T, dir, intel string, opts Options) watched {
	t.Helper()
	return observeLogged(t, dir, intel, opts, zap.NewNop())
}

// observeLogged is observe with a log.
func observeLogged(t *testing.T, dir, intel string, opts Options, log *zap.Logger) watched {
	t.Helper()
	if !strings.Contains(intel, "canary:") {
		intel += "\ncanary: {every: 0s}" // most tests count what comes
	}
	if !strings.Contains(intel, "web:") {
		intel += "\nweb: {listen: ''}\n" // they run side by side
	}
	if !strings.Contains(intel, "\nlisten: ") {
		intel += "\nlisten: [{udp: \"127.0.0.1:0\"}]\n"
	}
	cfg, err := configs.Parse("test", fmt.Appendf(nil, `
name: test
state_dir: %s
home: [10.0.0.0/8, 62.5.0.0/16]
intel: %s
`, dir, intel))
	if err != nil {
		t.Fatal(err)
	}
	opts.Out = io.Discard
	a := New(cfg, opts, log)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return watched{a, dir}
}

// shortDir makes a folder with a path that is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func list(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// exporter gives an encoder and a connection to the first listener.
func (w watched) exporter(t *testing.T, version flow.Version) (*synth.Encoder, net.Conn) {
	t.Helper()
	enc, err := synth.NewEncoder(synth.Config{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", w.Status().Listeners[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	return enc, conn
}

// calls is a flow of ours to an address, the i-th of some.
func calls(i int, addr string) synth.Flow {
	return synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr(addr), SrcPort: uint16(20000 + i), DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500}
}

// contact sends one flow of ours to each address.
func (w watched) contact(t *testing.T, addrs ...string) {
	t.Helper()
	enc, conn := w.exporter(t, flow.V5)
	defer conn.Close()
	for i, a := range addrs {
		d, _, err := enc.Encode(nil, []synth.Flow{calls(i, a)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(d); err != nil {
			t.Fatal(err)
		}
	}
}

// alerts reads the alerts in the hit log: name and reason.
func (w watched) alerts(t *testing.T) (out []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var e struct {
			Event      string `json:"kind"`
			Flowsnitch struct {
				Alert  string `json:"alert"`
				Reason string `json:"reason"`
			} `json:"flowsnitch"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.Event == "alert" {
			out = append(out, e.Flowsnitch.Alert+": "+e.Flowsnitch.Reason)
		}
	}
	return out
}

func (w watched) waitAlert(t *testing.T, want ...string) {
	t.Helper()
	until(t, "an alert with "+strings.Join(want, " and "), func() bool {
		for _, a := range w.alerts(t) {
			all := true
			for _, part := range want {
				all = all && strings.Contains(a, part)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// knock sends one SYN of each address to the first ports of one of our hosts each.
func (w watched) knock(t *testing.T, hosts int, addrs ...string) {
	t.Helper()
	enc, conn := w.exporter(t, flow.V5)
	defer conn.Close()
	for _, a := range addrs {
		for i := range hosts {
			f := synth.Flow{Src: netip.MustParseAddr(a), Dst: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), SrcPort: 40000,
				DstPort: 22, Protocol: 6, TCPFlags: 2, Packets: 1, Bytes: 60}
			d, _, err := enc.Encode(nil, []synth.Flow{f}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(d); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStorm: an entry of a feed that matches too much is rolled up, once and loudly,
// for a day or until somebody ends it. It stays listed: what we open to it is a hit as
// before, so that nobody who is listed can hide behind a flood. The operator's own word
// is not touched.
func TestStorm(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.53", "62.0.0.80")
	own := list(t, dir, "own.txt", "62.9.9.9")
	intel := fmt.Sprintf("{feeds: [{file: %s}], quarantine: {share: 20, min_flows: 10}}", feed)
	w := observed(t, dir, intel, Options{Lists: []string{own}})
	w.knock(t, 14, "62.0.0.53", "62.9.9.9")
	w.contact(t, append(slices.Repeat([]string{"62.77.0.1"}, 12), "62.0.0.80")...)
	until(t, "all flows are matched", func() bool {
		d := w.decoder.decodeStatus().Versions
		return d["v5"].Records+d["v9"].Records+d["ipfix"].Records == 41 && w.Status().Hits.Correlator.Hits == 14+14+1
	})
	w.storms.look(time.Now().Add(storm.Every))
	w.waitAlert(t, "entry_quarantined: entry 62.0.0.53/32 of feed bad", "14 of 41 flows", "stays listed", "intel accept 62.0.0.53/32")
	s := w.Status().Intel
	if s.Indicators != 3 || len(s.Quarantined) != 1 || s.HitsDay["bad"] != 15 || s.HitsDay["own"] != 14 {
		t.Errorf("%+v", s)
	}
	// handled sends and gives how many hit events and folded hits that made.
	handled := func(hits int, send func()) (events, folded uint64) {
		before := w.Status().Hits.Correlator
		send()
		until(t, "all hits are handled", func() bool { return w.Status().Hits.Correlator.Hits == before.Hits+uint64(hits) })
		after := w.Status().Hits.Correlator
		return after.HitEvents - before.HitEvents, after.FoldedHits - before.FoldedHits
	}
	if events, folded := handled(20, func() { w.knock(t, 20, "62.0.0.53") }); events != 1 || folded != 6 { // 14 have contacts
		t.Errorf("%d events, %d folded hits of 20 knocks", events, folded)
	}
	if events, folded := handled(1, func() { w.contact(t, "62.0.0.53") }); events != 1 || folded != 0 {
		t.Errorf("our own connection: %d events, %d folded hits", events, folded)
	}
	for i := range 3 { // it goes on
		w.knock(t, 20, "62.0.0.53")
		w.storms.look(time.Now().Add(time.Duration(i+2) * storm.Every))
	}
	if n := len(w.alerts(t)); n != 1 {
		t.Errorf("%d alerts: %v", n, w.alerts(t))
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}

	w = observed(t, dir, intel, Options{Lists: []string{own}}) // it goes on after a restart
	w.storms.look(time.Now())
	if events, folded := handled(21, func() { w.knock(t, 20, "62.0.0.53"); w.contact(t, "62.0.0.53") }); events != 2 || folded != 20 {
		t.Errorf("after the restart: %d events, %d folded hits", events, folded)
	}
	answer, err := w.feeds.lookup([]string{"62.0.0.53/32"})
	if err != nil || len(answer[0].Listings) != 1 || len(answer[0].Stopped) != 0 {
		t.Errorf("lookup %+v, %v", answer, err)
	}
	if err := w.feeds.accept("62.0.0.53"); err != nil {
		t.Fatal(err)
	}
	w.storms.look(time.Now().Add(5 * storm.Every)) // too much again, but somebody has looked at it
	if s := w.Status().Intel; s.Indicators != 3 || len(s.Quarantined) != 0 {
		t.Errorf("accepted: %+v", s)
	}
	if events, folded := handled(1, func() { w.knock(t, 1, "62.0.0.53") }); events != 1 || folded != 0 {
		t.Errorf("accepted: %d events, %d folded hits", events, folded)
	}
}

// TestOwnListed: an address of our own on a feed is news, once a feed; private space is
// none.
func TestOwnListed(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.5.1.2", "10.1.2.3", "62.0.0.1")
	w := observed(t, dir, fmt.Sprintf("{feeds: [{file: %s}]}", feed), Options{})
	w.waitAlert(t, "own_address_listed: 62.5.1.2/32", "listed by bad")
	list(t, dir, "bad.txt", "62.5.1.2", "10.1.2.3", "62.0.0.2", "62.0.0.1")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.alerts(t)); n != 1 || w.Status().Intel.Indicators != 2 {
		t.Errorf("%v with %d indicators", w.alerts(t), w.Status().Intel.Indicators)
	}
}

// TestHeldBack: a copy that cannot be right raises an alert and is not used, until
// somebody says so over the control socket.
func TestHeldBack(t *testing.T) {
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := 200
		if broken.Load() {
			n = 20
		}
		for i := range n {
			fmt.Fprintf(w, "62.0.%d.%d\n", i/100, i%100)
		}
	}))
	defer server.Close()
	dir := shortDir(t)
	w := observed(t, dir, fmt.Sprintf("{feeds: [{name: far, url: %q, interval: 10s}]}", server.URL), Options{})
	until(t, "the feed is there", func() bool { return w.Status().Intel.Indicators == 200 })
	broken.Store(true)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, FeedsDir, "feed-far.state")); err != nil { // its provider may be asked again
		t.Fatal(err)
	}
	w = observed(t, dir, fmt.Sprintf("{feeds: [{name: far, url: %q, interval: 10s}]}", server.URL), Options{})
	w.waitAlert(t, "feed_held_back: feed far", "shrunk from 200 to 20", "intel accept far")
	if f := w.Status().Intel.Feeds[0]; f.Entries != 200 || f.HeldEntries != 20 || f.Held == "" {
		t.Errorf("%+v", f)
	}
	if n := w.Status().Intel.Indicators; n != 200 {
		t.Errorf("%d indicators in force", n)
	}
	if err := w.feeds.accept("far"); err != nil {
		t.Fatal(err)
	}
	if n := w.Status().Intel.Indicators; n != 20 {
		t.Errorf("%d indicators after it was accepted", n)
	}
}

// TestSecondProcess: two cannot keep the same feeds.
func TestSecondProcess(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [], deny: [62.0.0.1]}", Options{})
	m := fetch.New(w.cfg.Intel, fetch.Options{Dir: filepath.Join(dir, FeedsDir)})
	defer m.Stop()
	if _, err := m.Update(t.Context()); err == nil || !strings.Contains(err.Error(), "another process keeps its feeds there") {
		t.Errorf("error %v", err)
	}
	table, _, err := BuildTable(&w.cfg, nil)
	if err != nil || table.Len() != 1 {
		t.Errorf("a look at the feeds of a running instance: %d indicators, %v", table.Len(), err)
	}
}

// TestFailedStartLetsGoOfFeeds: after a start that failed in the feeds their folder can be
// used again.
func TestFailedStartLetsGoOfFeeds(t *testing.T) {
	f := newFiled(t, "intel: {feeds: [{name: ours, file: /nowhere/list.txt}]}\n")
	if err := f.Start(); err == nil {
		t.Fatal("it has started without its list")
	}
	again := New(f.cfg, Options{ConfigFile: f.path, Out: io.Discard}, zap.NewNop())
	if err := again.Start(); err == nil || !strings.Contains(err.Error(), "/nowhere/list.txt") {
		t.Errorf("the second start ends with %v, want the reason of the first", err)
	}
}
