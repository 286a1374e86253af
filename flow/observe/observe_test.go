package observe

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Target string `json:"target" label:"target"`
	Sent   uint64 `json:"sent" name:"forward_sent_total" help:"Copies sent." show:"always"`
}

type sample struct {
	Address netip.Addr        `json:"address" label:"listener"`
	Packets uint64            `json:"packets" name:"udp_packets_total" help:"Datagrams received." words:"datagrams" show:"always"`
	Drops   uint64            `json:"drops" name:"udp_drops_total" help:"Datagrams dropped." loss:"true" if:"Known" check:"loss" remedy:"raise the buffer"`
	Known   bool              `json:"known" name:"-"`
	Bytes   uint64            `json:"bytes" name:"udp_bytes_total" help:"Bytes received." show:"some"`
	Full    uint64            `json:"full" name:"dropped_total" help:"Dropped." with:"reason=full" loss:"true" judged:"loss"`
	Old     uint64            `json:"old" name:"dropped_total" help:"Dropped." with:"reason=old" loss:"true" judged:"loss" settles:"true"`
	Levels  [2]uint64         `json:"levels" name:"level_total" help:"By level." label:"level" values:"low,high"`
	Reasons map[string]uint64 `json:"reasons" name:"reason_total" help:"By reason." label:"reason"`
	Seen    time.Time         `json:"seen,omitzero" name:"seen_age_seconds" help:"Age."`
	Error   string            `json:"error,omitempty" name:"failing" help:"1 while it fails." show:"some"`
	Targets []inner           `json:"targets"`
}

func made() sample {
	return sample{
		Address: netip.MustParseAddr("192.0.2.1"), Packets: 7, Drops: 2, Known: true, Bytes: 2048, Full: 3, Old: 4, Levels: [2]uint64{5, 6},
		Reasons: map[string]uint64{"short": 8}, Error: "a\x1bb", Targets: []inner{{"t", 9}},
	}
}

func registry(v *sample) *Registry {
	r := &Registry{}
	c := r.Component("udp")
	c.Add(Of("listeners", func() []sample { return []sample{*v} }), Check{Name: "loss", OK: "nothing was lost"})
	c.Ready()
	return r
}

func TestMetrics(t *testing.T) {
	v := made()
	r := registry(&v)
	got := make(map[string]float64)
	for _, s := range r.Metrics() {
		got[s.Name+s.where()] = s.Value
	}
	want := map[string]float64{
		"udp_packets_total (192.0.2.1)": 7, "udp_drops_total (192.0.2.1)": 2, "udp_bytes_total (192.0.2.1)": 2048,
		"dropped_total (192.0.2.1, full)": 3, "dropped_total (192.0.2.1, old)": 4, "level_total (192.0.2.1, low)": 5, "level_total (192.0.2.1, high)": 6,
		"reason_total (192.0.2.1, short)": 8, "failing (192.0.2.1)": 1, "forward_sent_total (192.0.2.1, t)": 9,
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s = %v, want %v", name, got[name], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	v.Known, v.Old = false, 1
	for _, s := range r.Metrics() {
		if s.Name == "udp_drops_total" {
			t.Error("a number that is not known is a metric")
		}
		if s.field.goName == "Old" && s.Value != 4 {
			t.Errorf("a counter that settles went back to %v", s.Value)
		}
	}
	if list := r.Complaints(); len(list) > 0 {
		t.Error(list)
	}
}

func TestJSONAndText(t *testing.T) {
	v := made()
	r := registry(&v)
	b, err := r.AppendJSON(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ Listeners []sample }
	if err := json.Unmarshal(b, &back); err != nil || back.Listeners[0].Levels[1] != 6 {
		t.Errorf("%s: %v", b, err)
	}
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	want := "listeners  192.0.2.1: 7 datagrams, 2 drops, 2.0 KiB, 3 full, 4 old, error: a?b\ntargets    192.0.2.1 t: 9 sent\n"
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", &text, want)
	}
}

func TestComplaints(t *testing.T) {
	type bad struct {
		A uint64 `json:"a"`
		B uint64 `json:"b" name:"b_total"`
		C uint64 `name:"c" help:"C."`
		D uint64 `json:"d" name:"d_total" help:"D." loss:"true"`
		E uint64 `json:"e" name:"e_total" help:"E." loss:"true" check:"nothing" remedy:"none"`
		F uint64 `json:"f" name:"f_total" help:"F." loss:"true" check:"loss"`
		G bool   `json:"g"`
		H uint64 `json:"h" name:"c" help:"Other."`
		I uint64 `json:"i" name:"i" help:"I." loss:"true" judged:"loss"`
	}
	r := &Registry{}
	r.Component("x").Add(Of("x", func() bad { return bad{} }), Check{Name: "loss"})
	got := strings.Join(r.Complaints(), "\n")
	for _, field := range []string{"A", "B", "C", "D", "E", "F", "G", "H", "I"} {
		if !strings.Contains(got, "x: "+field+":") {
			t.Errorf("no complaint about %s in\n%s", field, got)
		}
	}
}

// TestLosses: a loss that grows is a finding for as long as the window, without a line of
// code beside its tags; one that was there before is none.
func TestLosses(t *testing.T) {
	v := made()
	r := registry(&v)
	now := time.Now()
	state := func(after time.Duration) Finding { return r.Findings(now.Add(after))[0] }
	if f := state(0); f.State != OK || f.Text != "nothing was lost" {
		t.Errorf("at first %+v", f)
	}
	v.Drops += 5
	if f := state(10 * time.Second); f.State != Warning || f.Text != "5 drops (192.0.2.1): raise the buffer" {
		t.Errorf("after a loss %+v", f)
	}
	state(100 * time.Second)
	if f := state(4 * time.Minute); f.State != OK {
		t.Errorf("after the window %+v", f)
	}
}

// TestNotReady: nothing of a component is read, judged or served before it is ready.
func TestNotReady(t *testing.T) {
	r := &Registry{}
	c := r.Component("late")
	c.Add(
		Of("late", func() sample { t.Error("read too early"); return sample{} }),
		Check{Name: "late", State: func(time.Time) Finding { t.Error("judged too early"); return Finding{} }},
		Route{"GET", "/late", Public, JSON(func(*http.Request) (any, error) { return 1, nil }), false},
	)
	r.Metrics()
	r.Findings(time.Now())
	_ = r.WriteText(&strings.Builder{}, false)
	if b, _ := r.AppendJSON(nil, true); string(b) != "{}" {
		t.Errorf("JSON %s", b)
	}
	get := func() (int, string) {
		w := httptest.NewRecorder()
		r.Routes()[0].Handler.ServeHTTP(w, httptest.NewRequest("GET", "/late", nil))
		return w.Code, w.Body.String()
	}
	if code, text := get(); code != 503 || !strings.Contains(text, "late is not ready yet") {
		t.Errorf("%d %s", code, text)
	}
	r = &Registry{}
	c = r.Component("late")
	c.Add(Route{"GET", "/late", Public, JSON(func(*http.Request) (any, error) { return 1, nil }), false})
	c.Ready()
	if code, _ := get(); code != 200 {
		t.Errorf("ready: %d", code)
	}
	r.Close("flowsnitch is stopping")
	if code, text := get(); code != 503 || !strings.Contains(text, "stopping") {
		t.Errorf("closed: %d %s", code, text)
	}
}
