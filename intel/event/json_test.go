package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/google/uuid"
)

const hitLine = `{"integration":"flowsnitch","@timestamp":"2026-11-20T23:00:00.123Z","v":2,"kind":"hit",` +
	`"id":"0192f7c0-1234-7abc-8def-0123456789ab","sensor":"pi-oslo",` +
	`"srcip":"10.0.0.5","srcport":51515,"dstip":"203.0.113.9","dstport":443,"protocol":"tcp",` +
	`"flowsnitch":{"offender":"203.0.113.9","local":"10.0.0.5","role":"dst","direction":"outbound","answered":"yes","blocked":false,` +
	`"severity":"critical","score":95,"reason":"c2 listed by feodo (90), otx (75); outbound, answered",` +
	`"feed":"feodo","category":"c2","indicator":"203.0.113.9/32","ref":"https://example.net/9","tlp":"white",` +
	`"flows":1,"packets":5,"bytes":1234,"packets_back":4,"bytes_back":5210,"tcp_flags":"APSF","sampling":1,` +
	`"start":"2026-11-20T22:59:58.123Z","end":"2026-11-20T22:59:59.123Z","clock":"ok",` +
	`"exporter":"192.0.2.1","exporter_name":"edge-1","domain":0,"version":"9","in_if":1,"out_if":2,` +
	`"nat":{"src":"198.51.100.7"},"community_id":"1:abc=","intel_version":"7f3a",` +
	`"indicators":[{"prefix":"203.0.113.9/32","feed":"feodo","category":"c2","score":90,"ref":"https://example.net/9",` +
	`"first_seen":"2026-11-18T23:00:00.123Z","last_seen":"2026-11-20T22:00:00.123Z","tlp":"white"},` +
	`{"prefix":"203.0.113.0/24","feed":"otx","category":"c2","score":75,"native_id":"pulse-1"}]}}` + "\n"

const alertLine = `{"integration":"flowsnitch","@timestamp":"2026-11-20T23:00:00.123Z","v":2,"kind":"alert",` +
	`"id":"0192f7c0-1234-7abc-8def-0123456789ab","sensor":"pi-oslo",` +
	`"flowsnitch":{"alert":"own_address_listed","offender":"198.51.100.7","severity":"high","reason":"our 198.51.100.7 is listed by otx",` +
	`"feed":"otx","category":"c2","indicator":"198.51.100.7/32",` +
	`"indicators":[{"prefix":"198.51.100.7/32","feed":"otx","category":"c2","score":75}]}}` + "\n"

const ruleLine = `{"integration":"flowsnitch","@timestamp":"2026-11-20T23:00:00.123Z","v":2,"kind":"alert",` +
	`"id":"0192f7c0-1234-8abc-8def-0123456789ab","sensor":"pi-oslo",` +
	`"flowsnitch":{"alert":"rule_swarm","local":"192.0.2.25","site":"oslo","severity":"high","score":72,` +
	`"reason":"swarm: 89 sources tried 192.0.2.25 tcp/25 at oslo within 6h, usual 28, none more than 8 times",` +
	`"rule":{"name":"swarm","count":89,"threshold":84,"usual":28,"error":0.0625,"type":"rise","title":"Many sources, few tries each, one service",` +
	`"group":{"inside":"192.0.2.25","site":"oslo","protocol":"tcp","service_port":"25"},"from":"2026-11-20T17:00:00.123Z","to":"2026-11-20T23:00:00.123Z",` +
	`"sources":["198.51.100.7","2001:db8::9"],"source_counts":[8,7],"targets":["192.0.2.25"],"target_counts":[141],"ports":[25],"port_counts":[141],` +
	`"histogram_times":[1,2,7],"histogram_values":[60,20,9],"histogram_or_more":true,` +
	`"stop":["nft add rule inet filter input ip daddr 192.0.2.25 tcp dport 25 ct count over 20 drop comment \"swarm\""]}}}` + "\n"

func TestAppendJSONWholeLine(t *testing.T) {
	for _, tc := range []struct {
		event event.Event
		want  string
	}{{eventtest.Hit(), hitLine}, {eventtest.Alert(), alertLine}, {eventtest.RuleAlert(), ruleLine}} {
		if got := string(event.AppendJSON([]byte("kept "), &tc.event)); got != "kept "+tc.want {
			t.Errorf("got  %s\nwant kept %s", got, tc.want)
		}
	}
}

// TestAppendJSONFields changes one thing in the hit at a time and looks for
// what must and must not be in the line.
func TestAppendJSONFields(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::9")
	for name, tc := range map[string]struct {
		change func(*event.Event)
		has    []string
		hasNot []string
	}{
		"contact": {func(e *event.Event) { e.Contact, e.Seq = e.ID, 3 },
			[]string{`89ab","contact":"0192f7c0-1234-7abc-8def-0123456789ab","seq":3,"sensor"`}, []string{`"last"`}},
		"last of a contact": {func(e *event.Event) { e.Contact, e.Seq, e.Last = e.ID, 3, true }, []string{`"seq":3,"last":true,"sensor"`}, nil},
		"refused":           {func(e *event.Event) { e.Refused = true }, []string{`"answered":"yes","refused":true,"blocked":false`}, nil},
		"service port": {func(e *event.Event) { e.ServicePort, e.ContactFirstSeen = 443, e.Time },
			[]string{`"blocked":false,"service_port":443,"contact_first_seen":"2026-11-20T23:00:00.123Z","severity"`}, nil},
		"before the listing": {func(e *event.Event) { e.Retro, e.Days = true, 12 },
			[]string{`"blocked":false,"retro":true,"days":12,"severity"`}, nil},
		"place": {func(e *event.Event) { e.Country, e.ASNumber, e.ASName = "NO", 64500, "Example AS" },
			[]string{`"offender":"203.0.113.9","geo":{"country":"NO"},"as":{"number":64500,"organization":"Example AS"},"local"`}, nil},
		"country alone":   {func(e *event.Event) { e.Country = "NO" }, []string{`"geo":{"country":"NO"},"local"`}, []string{`"as"`}},
		"name of network": {func(e *event.Event) { e.ASName = "Example AS" }, []string{`"as":{"organization":"Example AS"},"local"`}, []string{`"geo"`}},
		"silenced":        {func(e *event.Event) { e.Silenced = "k7xq2mfa" }, []string{`"blocked":false,"silenced":"k7xq2mfa","severity"`}, nil},
		"folded": {func(e *event.Event) { e.Folded, e.Ports, e.Hosts, e.Local = true, 1000, 2, netip.Addr{} },
			[]string{`"folded":true,"ports":1000,"hosts":2,"severity"`}, []string{"capped", `"local"`}},
		"more than counted": {func(e *event.Event) {
			e.Folded, e.Ports, e.PortsCapped, e.Hosts, e.HostsCapped = true, 9, true, 8, true
		},
			[]string{`"ports":9,"ports_capped":true,"hosts":8,"hosts_capped":true,`}, nil},
		"embedded":             {func(e *event.Event) { e.Embedded = netip.MustParseAddr("192.0.2.9") }, []string{`"embedded":"192.0.2.9","local"`}, nil},
		"no ports":             {func(e *event.Event) { e.HasPorts = false }, nil, []string{"srcport", "dstport"}},
		"port 0":               {func(e *event.Event) { e.SrcPort = 0 }, []string{`"srcport":0,`}, nil},
		"number of a protocol": {func(e *event.Event) { e.Protocol = 253 }, []string{`"protocol":"253"`}, nil},
		"no protocol":          {func(e *event.Event) { e.HasProtocol = false }, nil, []string{"protocol"}},
		"v5":                   {func(e *event.Event) { e.Version = flow.V5 }, []string{`"version":"5",`}, nil},
		"IPFIX":                {func(e *event.Event) { e.Version = flow.IPFIX }, []string{`"version":"ipfix",`}, nil},
		"sFlow":                {func(e *event.Event) { e.Version = flow.SFlow }, []string{`"version":"sflow5",`}, nil},
		"no exporter": {func(e *event.Event) { e.Version, e.Exporter = 0, netip.Addr{} }, nil,
			[]string{`"version"`, `"domain"`, `"exporter"`}},
		"scaled": {func(e *event.Event) { e.Sampling, e.Packets, e.Bytes = 100, 500, 123400 },
			[]string{`"packets":500,"bytes":123400,"packets_raw":5,"bytes_raw":1234,`, `"sampling":100`}, nil},
		"not scaled":         {func(*event.Event) {}, nil, []string{"_raw"}},
		"sampling unknown":   {func(e *event.Event) { e.Sampling = 0 }, nil, []string{"sampling"}},
		"no answer":          {func(e *event.Event) { e.PacketsBack, e.BytesBack = 0, 0 }, nil, []string{"_back"}},
		"nothing counted":    {func(e *event.Event) { e.Packets, e.PacketsRaw = 0, 0 }, []string{`"packets":0,`}, nil},
		"all flags":          {func(e *event.Event) { e.TCPFlags = 0x1ff }, []string{`"tcp_flags":"CEUAPRSF"`}, nil},
		"no flags":           {func(e *event.Event) { e.TCPFlags = 0x100 }, nil, []string{"tcp_flags"}},
		"no interfaces":      {func(e *event.Event) { e.HasIf = false }, nil, []string{"in_if", "out_if"}},
		"blocked":            {func(e *event.Event) { e.Blocked = true }, []string{`"blocked":true`}, nil},
		"IPv6":               {func(e *event.Event) { e.Src = v6 }, []string{`"srcip":"2001:db8::9"`}, nil},
		"zone":               {func(e *event.Event) { e.Exporter = v6.WithZone(`a","b`) }, []string{`"exporter":"2001:db8::9"`}, nil},
		"no end":             {func(e *event.Event) { e.Start, e.End = time.Time{}, time.Time{} }, nil, []string{`"start"`, `"end"`}},
		"absurd time":        {func(e *event.Event) { e.End = time.Unix(1<<40, 0) }, nil, []string{`"end"`}},
		"other zone of time": {func(e *event.Event) { e.Time = eventtest.At.In(time.FixedZone("", 3600)) }, []string{`"@timestamp":"2026-11-20T23:00:00.123Z"`}, nil},
		"one exporter":       {func(e *event.Event) { e.Exporters = []netip.Addr{v6} }, nil, []string{"exporters"}},
		"two exporters": {func(e *event.Event) { e.Exporters = []netip.Addr{e.Exporter, v6} },
			[]string{`"exporters":["192.0.2.1","2001:db8::9"],"domain"`}, []string{"exporters_total"}},
		"many exporters": {func(e *event.Event) { e.Exporters = slices.Repeat([]netip.Addr{v6}, 9) },
			[]string{`"exporters_total":9,`}, nil},
		"inner": {func(e *event.Event) { e.InnerSrc, e.InnerDst = v6, e.Src },
			[]string{`"inner":{"src":"2001:db8::9","dst":"10.0.0.5"}`}, nil},
		"NAT ports": {func(e *event.Event) { e.NATSrcPort, e.NATDst, e.NATDstPort = 1024, v6, 53 },
			[]string{`"nat":{"src":"198.51.100.7","src_port":1024,"dst":"2001:db8::9","dst_port":53}`}, nil},
		"no NAT":        {func(e *event.Event) { e.NATSrc = netip.Addr{} }, nil, []string{`"nat"`}},
		"no indicator":  {func(e *event.Event) { e.Indicators = nil }, nil, []string{"indicator", `"feed"`, `"ref"`}},
		"name of feed":  {func(e *event.Event) { e.Indicators[0].Feed = `our "best" list\é` }, []string{`"feed":"our__best__list___"`}, nil},
		"nothing known": {func(e *event.Event) { *e = event.Event{Kind: event.KindCanary} }, []string{`"kind":"canary"`}, []string{`""`, "null", "srcip", "role", "invalid"}},
	} {
		e := eventtest.Hit()
		tc.change(&e)
		got := string(event.AppendJSON(nil, &e))
		checkLine(t, &e, []byte(got))
		for _, want := range tc.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s is missing in %s", name, want, got)
			}
		}
		for _, not := range tc.hasNot {
			if strings.Contains(got, not) {
				t.Errorf("%s: %s must not be in %s", name, not, got)
			}
		}
	}
}

// TestAppendJSONTimeFirst holds that the time of an event is whole, zone included,
// within the first 128 bytes: Splunk looks no further.
func TestAppendJSONTimeFirst(t *testing.T) {
	for _, make := range []func() event.Event{eventtest.Hit, eventtest.Alert, eventtest.RuleAlert, eventtest.Longest} {
		for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
			e := make()
			eventtest.Poison(&e, eventtest.Hostile[7])
			e.Kind = kind
			for _, form := range []func([]byte, *event.Event) []byte{event.AppendJSON, event.AppendJSONByOffender} {
				if line := form(nil, &e); !bytes.Contains(line[:128], []byte(`"@timestamp":"2026-11-20T23:00:00.123Z",`)) {
					t.Errorf("%s: %s", kind, line[:128])
				}
			}
		}
	}
}

func TestAppendJSONHostile(t *testing.T) {
	for _, make := range []func() event.Event{eventtest.Hit, eventtest.Alert, eventtest.RuleAlert, eventtest.Longest} {
		for _, s := range eventtest.Hostile {
			e := make()
			eventtest.Poison(&e, s)
			checkLine(t, &e, event.AppendJSON(nil, &e))
		}
	}
}

// TestAppendJSONShortens holds the order: the worst indicators go first, texts
// are cut only when the best one alone is too long.
func TestAppendJSONShortens(t *testing.T) {
	e := eventtest.Hit()
	for i := range 100 {
		e.Indicators = append(e.Indicators, event.Indicator{Prefix: e.Indicators[0].Prefix, Feed: fmt.Sprint("feed-", i)})
	}
	var got struct {
		Flowsnitch struct {
			Reason, Ref string
			Total       int `json:"indicators_total"`
			Indicators  []struct{ Feed string }
		}
	}
	unmarshal := func() {
		t.Helper()
		if err := json.Unmarshal(event.AppendJSON(nil, &e), &got); err != nil {
			t.Fatal(err)
		}
	}
	unmarshal()
	f := &got.Flowsnitch
	if f.Total != 102 || len(f.Indicators) < 20 || f.Indicators[0].Feed != "feodo" || f.Reason != e.Reason || f.Ref != e.Indicators[0].Ref {
		t.Errorf("got %+v", f)
	}
	e.Reason = strings.Repeat("because ", 125)
	e.Indicators[0].Ref = "https://example.net/" + strings.Repeat("x", 800)
	unmarshal()
	if f.Total != 102 || f.Reason != e.Reason || f.Ref != e.Indicators[0].Ref {
		t.Errorf("texts were cut while indicators could go: %+v", f)
	}
	e.Indicators[0].Ref = strings.Repeat("x", 2000)
	unmarshal()
	if len(f.Indicators) == 0 || f.Indicators[0].Feed != "feodo" || !strings.HasSuffix(f.Ref, "x"+fit.Ellipsis) {
		t.Errorf("got %+v", f)
	}
}

func TestAppendJSONLongest(t *testing.T) {
	e := eventtest.Longest()
	eventtest.Poison(&e, strings.Repeat("\x01", 10_000))
	for _, kind := range []event.Kind{event.KindUpdate, event.KindAlert} {
		e.Kind = kind
		got := event.AppendJSON(nil, &e)
		checkLine(t, &e, got)
		t.Logf("the longest possible %s takes %d of %d bytes", kind, len(got), event.MaxLine)
	}
}

// TestAppendJSONOfARuleShortens holds what of the evidence goes first, and that it is counted.
func TestAppendJSONOfARuleShortens(t *testing.T) {
	type evidence struct {
		Name, Title            string
		Count                  uint64
		Sources, Targets, Stop []string
		SourceCounts           []uint64 `json:"source_counts"`
		Ports, HistogramTimes  []uint64
		Times                  []uint64 `json:"histogram_times"`
		LeftOut                int      `json:"left_out"`
	}
	e := eventtest.RuleAlert()
	e.Rule = eventtest.Longest().Rule
	e.Rule.LeftOut = 0
	for _, tc := range []struct {
		room                                         int // bytes that something else takes
		sources, targets, ports, bars, stop, leftOut int
	}{
		{0, 8, 8, 16, 16, 3, 0},
		{1000, 8, 3, 16, 0, 3, 5 + 16},
		{2000, 3, 3, 3, 0, 0, 5 + 16 + 5 + 13 + 3},
		{2800, 0, 0, 0, 0, 0, 8 + 8 + 16 + 16 + 3},
	} {
		e.Unknown = &event.Unknown{Top: `"x":"` + strings.Repeat("x", tc.room) + `"`}
		line := event.AppendJSON(nil, &e)
		var got struct{ Flowsnitch struct{ Rule evidence } }
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		r := got.Flowsnitch.Rule
		if len(r.Sources) != tc.sources || len(r.SourceCounts) != tc.sources || len(r.Targets) != tc.targets || len(r.Ports) != tc.ports ||
			len(r.Times) != tc.bars || len(r.Stop) != tc.stop || r.LeftOut != tc.leftOut || r.Name != "swarm" || r.Title != "Many sources" || len(line) > event.MaxLine {
			t.Errorf("%d bytes less room: %+v in %d bytes: %s", tc.room, r, len(line), line)
		}
	}
}

// TestAppendJSONCutsNoLineForAFirewall: half of a line would do something else.
func TestAppendJSONCutsNoLineForAFirewall(t *testing.T) {
	e := eventtest.RuleAlert()
	fits := strings.Repeat("x", 254)
	e.Rule.Stop = []string{strings.Repeat("\x01", 200), fits + "x", "", fits}
	got := string(event.AppendJSON(nil, &e))
	if !strings.Contains(got, `"stop":["`+fits+`"],"left_out":3}`) {
		t.Error(got)
	}
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	for _, e := range []event.Event{eventtest.Hit(), eventtest.RuleAlert()} {
		buf := make([]byte, 0, 2*event.MaxLine)
		if n := testing.AllocsPerRun(100, func() { buf = event.AppendJSON(buf[:0], &e) }); n != 0 {
			t.Errorf("%v allocations per event", n)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e := eventtest.Hit()
	var buf []byte
	for b.Loop() {
		buf = event.AppendJSON(buf[:0], &e)
	}
	b.SetBytes(int64(len(buf)))
}

// TestOSSEC runs the expressions of an OSSEC decoder over lines.
func TestOSSEC(t *testing.T) {
	decoder := map[string]string{
		"srcip": `"srcip":"([^"\\]+)"`, "srcport": `"srcport":(\d+)`, "dstip": `"dstip":"([^"\\]+)"`, "dstport": `"dstport":(\d+)`,
		"protocol": `"protocol":"([^"\\]+)"`, "feed": `"feed":"([^"\\]+)"`, "category": `"category":"([^"\\]+)"`,
		"severity": `"severity":"([^"\\]+)"`, "offender": `"offender":"([^"\\]+)"`,
	}
	want := map[string]string{"srcip": "10.0.0.5", "srcport": "51515", "dstip": "203.0.113.9", "dstport": "443", "protocol": "tcp",
		"feed": "feodo", "category": "c2", "severity": "critical", "offender": "203.0.113.9"}
	prematch := regexp.MustCompile(`^\{"integration":"flowsnitch",`)
	for _, text := range eventtest.Hostile {
		e := eventtest.Hit()
		e.Reason, e.Sensor, e.ExporterName, e.Indicators[0].Ref, e.Indicators[1].Description = text, text, text, text, text
		e.NATDstPort = 99
		line := event.AppendJSON(nil, &e)
		if !prematch.Match(line) {
			t.Fatalf("no match: %s", line)
		}
		for field, expr := range decoder {
			m := regexp.MustCompile(expr).FindSubmatch(line)
			if m == nil || string(m[1]) != want[field] {
				t.Errorf("%s: got %q, want %s in %s", field, m, want[field], line)
			}
		}
	}
}

func FuzzNative(f *testing.F) {
	for i, s := range eventtest.Hostile {
		f.Add(s, eventtest.Hostile[(i+1)%len(eventtest.Hostile)], s, uint8(i), uint8(i))
	}
	kinds := []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary}
	f.Fuzz(func(t *testing.T, everywhere, reason, ref string, indicators, kind uint8) {
		e := eventtest.Hit()
		e.Rule = eventtest.Swarm()
		e.Indicators = slices.Repeat(e.Indicators[:1], int(indicators))
		eventtest.Poison(&e, everywhere)
		e.Kind = kinds[int(kind)%len(kinds)]
		e.Reason = reason
		for i := range e.Indicators {
			e.Indicators[i].Ref = ref
			checkLine(t, &e, event.AppendJSON(nil, &e))
		}
	})
}

// checkLine holds what is promised of every line: one line of valid JSON within
// the limit, no key but those that e calls for, each once, and texts that say what
// they said, unless cut.
func checkLine(t *testing.T, e *event.Event, line []byte) {
	t.Helper()
	switch {
	case len(line) > event.MaxLine:
		t.Errorf("%d bytes, %d are allowed", len(line), event.MaxLine)
	case !bytes.HasPrefix(line, []byte(`{"integration":"flowsnitch",`)):
		t.Errorf("wrong beginning: %s", line)
	case !json.Valid(line) || !utf8.Valid(line):
		t.Errorf("not valid: %q", line)
	case bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 }) != len(line)-1:
		t.Errorf("control characters in %q", line)
	case bytes.Count(line, []byte(`"srcip":`)) > 1:
		t.Errorf("srcip twice: %s", line)
	}
	got := eventtest.Paths(t, line)
	less := bytes.Contains(line, []byte(`"left_out":`))
	for path := range got { // lists may be gone
		if name, ok := strings.CutPrefix(path, ".flowsnitch.rule."); ok && less && slices.Contains(ruleLists, name) {
			delete(got, path)
		}
	}
	want := wantPaths(e, bytes.Contains(line, []byte(`"indicators_total":`)), less)
	if !maps.Equal(got, want) {
		t.Errorf("keys %v\nwant %v\nin %s", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)), line)
	}
	var doc struct {
		Sensor     string
		Flowsnitch struct{ Reason, Ref string }
	}
	if err := json.Unmarshal(line, &doc); err != nil {
		t.Error(err)
	}
	sameText(t, doc.Sensor, e.Sensor)
	sameText(t, doc.Flowsnitch.Reason, e.Reason)
	if len(e.Indicators) > 0 {
		sameText(t, doc.Flowsnitch.Ref, e.Indicators[0].Ref)
	}
}

// sameText compares with what encoding/json makes of a text.
func sameText(t *testing.T, got, full string) {
	t.Helper()
	var want string
	b, _ := json.Marshal(full)
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	want = strings.ReplaceAll(want, "\x00", "\ufffd")
	cut, short := strings.CutSuffix(got, fit.Ellipsis)
	if got != want && !(short && len(full) > 20 && strings.HasPrefix(want, cut)) {
		t.Errorf("got text %q, want %q", got, want)
	}
}

// wantPaths says which keys e calls for, field by field.
func wantPaths(e *event.Event, shortened, less bool) map[string]bool {
	want := map[string]bool{}
	add := func(present bool, keys ...string) {
		for _, k := range keys {
			if present {
				want[k] = true
			}
		}
	}
	const f = ".flowsnitch"
	traffic := e.Kind != event.KindAlert
	add(true, ".integration", ".v", ".kind", ".id", f, f+".severity")
	add(!e.Time.IsZero(), ".@timestamp")
	if e.Contact != (uuid.UUID{}) {
		add(true, ".contact")
		add(e.Seq != 0, ".seq")
		add(e.Last, ".last")
	}
	add(e.Sensor != "", ".sensor")
	add(traffic && e.Src.IsValid(), ".srcip")
	add(traffic && e.Dst.IsValid(), ".dstip")
	add(traffic && e.HasPorts, ".srcport", ".dstport")
	add(traffic && e.HasProtocol, ".protocol")
	add(e.Alert != "", f+".alert")
	add(e.Offender.IsValid(), f+".offender")
	add(e.Embedded.IsValid(), f+".embedded")
	add(e.Country != "", f+".geo", f+".geo.country")
	add(e.ASNumber != 0, f+".as", f+".as.number")
	add(e.ASName != "", f+".as", f+".as.organization")
	add(e.Local.IsValid(), f+".local")
	add(e.Site != "", f+".site")
	add(traffic && e.SamplingFrom != "", f+".sampling_from")
	add(traffic && e.Refused, f+".refused")
	add(traffic && e.ServicePort != 0, f+".service_port")
	add(traffic && !e.ContactFirstSeen.IsZero(), f+".contact_first_seen")
	add(traffic && e.Retro, f+".retro")
	add(traffic && e.Days != 0, f+".days")
	add(e.Folded, f+".folded")
	add(e.Silenced != "", f+".silenced")
	add(e.Ports != 0, f+".ports")
	add(e.PortsCapped, f+".ports_capped")
	add(e.Hosts != 0, f+".hosts")
	add(e.HostsCapped, f+".hosts_capped")
	add(traffic && e.Offender.IsValid(), f+".role")
	add(traffic && e.Direction != "", f+".direction")
	add(traffic && e.Answered != "", f+".answered")
	add(traffic, f+".blocked", f+".flows", f+".packets", f+".bytes")
	add(traffic || e.Score > 0, f+".score")
	add(e.Reason != "", f+".reason")
	add(traffic && e.PacketsRaw != 0 && e.PacketsRaw != e.Packets, f+".packets_raw")
	add(traffic && e.BytesRaw != 0 && e.BytesRaw != e.Bytes, f+".bytes_raw")
	add(traffic && e.PacketsBack != 0, f+".packets_back")
	add(traffic && e.BytesBack != 0, f+".bytes_back")
	add(traffic && e.TCPFlags&255 != 0, f+".tcp_flags")
	add(traffic && e.Sampling != 0, f+".sampling")
	add(traffic && !e.Start.IsZero(), f+".start")
	add(traffic && !e.End.IsZero() && e.End.Year() < 10000, f+".end")
	add(traffic && e.Clock != "", f+".clock")
	add(e.Exporter.IsValid(), f+".exporter")
	add(e.ExporterName != "", f+".exporter_name")
	add(len(e.Exporters) > 1, f+".exporters")
	add(len(e.Exporters) > 8, f+".exporters_total")
	add(e.Version != 0, f+".domain", f+".version")
	add(e.HasIf, f+".in_if", f+".out_if")
	add(e.NATSrc.IsValid(), f+".nat", f+".nat.src")
	add(e.NATDst.IsValid(), f+".nat", f+".nat.dst")
	add(e.NATSrcPort != 0, f+".nat", f+".nat.src_port")
	add(e.NATDstPort != 0, f+".nat", f+".nat.dst_port")
	add(e.InnerSrc.IsValid(), f+".inner", f+".inner.src")
	add(e.InnerDst.IsValid(), f+".inner", f+".inner.dst")
	add(e.CommunityID != "", f+".community_id")
	add(e.IntelVersion != "", f+".intel_version")
	for n, i := range e.Indicators {
		add(n == 0, f+".indicators", f+".indicator")
		add(n == 0 && i.Feed != "", f+".feed")
		add(n == 0 && i.Category != "", f+".category")
		add(n == 0 && i.Ref != "", f+".ref")
		add(n == 0 && i.TLP != "", f+".tlp")
		if shortened && n > 0 {
			continue // all listings of the tests that shorten are alike
		}
		const l = f + ".indicators"
		add(true, l+".prefix")
		add(i.Feed != "", l+".feed")
		add(i.Category != "", l+".category")
		add(i.Score != 0, l+".score")
		add(i.Ref != "", l+".ref")
		add(!i.FirstSeen.IsZero(), l+".first_seen")
		add(!i.LastSeen.IsZero(), l+".last_seen")
		add(!i.Expires.IsZero(), l+".expires")
		add(i.Port != 0, l+".port")
		add(i.TLP != "", l+".tlp")
		add(i.NativeID != "", l+".native_id")
		add(i.Description != "", l+".description")
	}
	add(shortened, f+".indicators_total")
	if e.Rule != nil && !traffic {
		wantRule(e.Rule, less, add, f+".rule")
	}
	return want
}

// ruleLists are the keys of a rule that have no room in a long line.
var ruleLists = []string{"sources", "source_counts", "targets", "target_counts", "ports", "port_counts", "histogram_times", "histogram_values", "histogram_or_more", "stop"}

// wantRule says which keys the evidence of a rule calls for, of a line that has room for all
// of it or for none of the lists.
func wantRule(r *event.Rule, less bool, add func(present bool, keys ...string), u string) {
	add(true, u, u+".count")
	add(r.Name != "", u+".name")
	add(r.Title != "", u+".title")
	add(r.Type != "", u+".type")
	add(r.Threshold != 0, u+".threshold")
	add(r.Usual != 0, u+".usual")
	add(r.TLP != "", u+".tlp")
	add(r.Error != 0, u+".error")
	add(r.Update, u+".update")
	add(!r.From.IsZero(), u+".from")
	add(!r.To.IsZero(), u+".to")
	add(r.Interval != 0, u+".interval")
	add(r.Spread != 0, u+".spread")
	for _, f := range r.Group {
		add(f.Value != "", u+".group", u+".group."+f.Field)
	}
	if add(less, u+".left_out"); less {
		return
	}
	add(len(r.Sources) > 0, u+".sources", u+".source_counts")
	add(len(r.Targets) > 0, u+".targets", u+".target_counts")
	add(len(r.Ports) > 0, u+".ports", u+".port_counts")
	add(len(r.Histogram) > 0, u+".histogram_times", u+".histogram_values")
	add(len(r.Histogram) > 0 && r.OrMore, u+".histogram_or_more")
	add(len(r.Stop) > 0, u+".stop")
}
