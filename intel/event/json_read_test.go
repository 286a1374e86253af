package event_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/compact"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
	"github.com/google/uuid"
)

// writers are the two ways to write a line.
var writers = map[string]func([]byte, *event.Event) []byte{"by flow": event.AppendJSON, "by offender": event.AppendJSONByOffender}

// dice makes random events in the form in which a line keeps them whole: times in
// milliseconds, names without escapes, addresses without zones, short texts.
type dice struct{ *rand.Rand }

func (d dice) maybe() bool { return d.IntN(3) > 0 }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

func (d dice) text() string {
	return pick(d, "", "plain", "é 👍 \u202e\x01", `quote " back \ slash`, "line\nbreak\r\t", "<script>&amp;\u2028", strings.Repeat("long ", 10))
}

func (d dice) word() string { return pick(d, "", "otx", "a-b_c.9", "SBL1") }

func (d dice) addr() netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], d.Uint64())
	binary.NativeEndian.PutUint64(b[8:], d.Uint64())
	return pick(d, netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4])), netip.AddrFrom16(netip.AddrFrom4([4]byte(b[:4])).As16()))
}

func (d dice) optional() netip.Addr {
	if d.maybe() {
		return d.addr()
	}
	return netip.Addr{}
}

func (d dice) time() time.Time {
	if !d.maybe() {
		return time.Time{}
	}
	return time.UnixMilli(d.Int64N(1 << 47)).UTC()
}

func (d dice) number() uint64 { return d.Uint64() >> d.IntN(65) }

func (d dice) id() (id uuid.UUID) {
	binary.NativeEndian.PutUint64(id[:], d.Uint64())
	binary.NativeEndian.PutUint64(id[8:], d.Uint64()|1)
	return id
}

func (d dice) event() event.Event {
	e := event.Event{
		Kind: pick(d, event.KindHit, event.KindUpdate, event.KindCanary, event.KindAlert, "later"), ID: d.id(), Time: d.time(), Sensor: d.text(),
		Offender: d.optional(), Embedded: d.optional(), Local: d.optional(), Severity: event.Severity(d.IntN(4)), Score: uint8(d.number()),
		Reason: d.text(), Alert: d.word(), IntelVersion: d.text(), CommunityID: d.text(), Exporter: d.optional(), ExporterName: d.text(),
		NATSrc: d.optional(), NATDst: d.optional(), NATSrcPort: uint16(d.number()), NATDstPort: uint16(d.number()),
		InnerSrc: d.optional(), InnerDst: d.optional(),
		Folded: d.maybe(), Ports: uint32(d.number()), PortsCapped: d.maybe(), Hosts: uint32(d.number()), HostsCapped: d.maybe(),
	}
	e.Silenced, e.Country, e.ASNumber, e.ASName = pick(d, "", "k7xq2mfa"), pick(d, "", "NO"), uint32(d.number()), d.text()
	if d.maybe() {
		e.Contact, e.Seq, e.Last = d.id(), uint32(d.number()), d.maybe()
	}
	if d.maybe() {
		e.Version, e.Domain = pick(d, flow.V5, flow.V9, flow.IPFIX, flow.SFlow), uint32(d.number())
	}
	if d.maybe() {
		e.HasIf, e.InIf, e.OutIf = true, uint32(d.number()), uint32(d.number())
	}
	if d.maybe() {
		for range 2 + d.IntN(7) {
			e.Exporters = append(e.Exporters, d.addr())
		}
	}
	for range d.IntN(4) {
		e.Indicators = append(e.Indicators, d.indicator())
	}
	if e.Kind != event.KindAlert {
		d.flow(&e)
	} else if d.maybe() {
		e.Rule = d.rule()
	}
	if d.maybe() {
		d.unknown(&e)
	}
	return e
}

// flow adds what alerts do not have.
func (d dice) flow(e *event.Event) {
	e.Src, e.Dst = d.addr(), d.addr()
	if d.maybe() {
		e.HasPorts, e.SrcPort, e.DstPort = true, uint16(d.number()), uint16(d.number())
	}
	if d.maybe() {
		e.HasProtocol, e.Protocol = true, uint8(d.number())
	}
	if e.Offender.IsValid() {
		e.Role = flow.Side(d.IntN(int(flow.SideTunnels)))
		switch e.Role {
		case flow.SideSrc:
			e.Src = e.Offender
		case flow.SideDst:
			e.Dst = e.Offender
		}
	}
	e.Direction, e.Answered = event.Direction(d.word()), event.Answered(d.word())
	e.Refused, e.Blocked, e.ServicePort, e.ContactFirstSeen = d.maybe(), d.maybe(), uint16(d.number()), d.time()
	e.Retro, e.Days = d.maybe(), uint32(d.number())
	e.Flows, e.Packets, e.Bytes, e.PacketsBack, e.BytesBack = d.number(), d.number(), d.number(), d.number(), d.number()
	e.PacketsRaw, e.BytesRaw = pick(d, e.Packets, 1+d.number()>>1), pick(d, e.Bytes, 1+d.number()>>1)
	e.TCPFlags, e.Sampling, e.SamplingFrom = uint16(d.IntN(256)), uint32(d.number()), d.text()
	e.Start, e.End, e.Clock, e.Site = d.time(), d.time(), d.word(), d.text()
}

// rule makes evidence of what fits in a line.
func (d dice) rule() *event.Rule {
	part := func() float64 { return float64(d.IntN(30_000)) / 10_000 }
	r := &event.Rule{
		Name: d.word(), Title: d.text(), Type: d.word(), TLP: d.word(), Count: d.number(), Threshold: d.number(), Usual: d.number(), Error: part(), Spread: part(),
		From: d.time(), To: d.time(), Update: d.maybe(), Interval: time.Duration(d.IntN(1e9)) * 100 * time.Microsecond, LeftOut: uint32(d.number()),
	}
	for _, field := range []string{"inside", "site", "protocol"}[:d.IntN(4)] {
		r.Group = append(r.Group, event.RuleField{Field: field, Value: "x" + d.text()})
	}
	for range d.IntN(9) {
		r.Sources = append(r.Sources, event.RuleShare{Value: d.addr().String(), Count: uint64(d.IntN(1000))})
	}
	for range d.IntN(3) {
		r.Targets = append(r.Targets, event.RuleShare{Value: d.addr().String(), Count: uint64(d.IntN(1000))})
		r.Stop = append(r.Stop, "x"+d.text())
	}
	for range d.IntN(17) {
		r.Ports = append(r.Ports, event.RulePort{Port: uint16(d.number()), Count: uint64(d.IntN(1000))})
	}
	for range d.IntN(9) {
		r.Histogram = append(r.Histogram, event.RuleBar{Times: uint64(d.IntN(1000)), Values: uint64(d.IntN(1000))})
	}
	r.OrMore = len(r.Histogram) > 0 && d.maybe()
	return r
}

func (d dice) indicator() event.Indicator {
	a := d.addr()
	p, _ := a.Prefix(d.IntN(a.BitLen() + 1))
	return event.Indicator{
		Prefix: p, Port: uint16(d.number()), Feed: "f" + d.word(), Score: uint8(d.number()), Category: d.word(), Ref: d.text(), Description: d.text(),
		NativeID: d.text(), TLP: d.word(), FirstSeen: d.time(), LastSeen: d.time(), Expires: d.time(),
	}
}

func (d dice) unknown(e *event.Event) {
	some := func() string {
		return pick(d, "", `"place":{"city":"oslo","at":[1,2.5e3,-0]}`, `"x\"\u0000y":"\ud83d\ude00 é","z":null`, `"town":"oslo"`)
	}
	u := &event.Unknown{Top: some(), Body: some(), NAT: some(), Inner: some(), Geo: some(), AS: some()}
	if e.Rule != nil {
		u.Rule = some()
	}
	for i := range e.Indicators {
		if s := some(); s != "" {
			u.Indicators = append(u.Indicators, make([]string, i-len(u.Indicators))...)
			u.Indicators = append(u.Indicators, s)
		}
	}
	if !reflect.DeepEqual(u, &event.Unknown{}) {
		e.Unknown = u
	}
}

// asWritten is what a line by offender keeps: a translated or an inner address in place of
// the one that was exported.
func asWritten(e event.Event, byOffender bool) event.Event {
	if !byOffender || e.Kind == event.KindAlert || !e.Offender.IsValid() || e.Role <= flow.SideDst {
		return e
	}
	switch e.Role {
	case flow.SidePostNATSrc:
		e.Src = e.Offender
		if e.HasPorts && e.NATSrcPort != 0 {
			e.SrcPort = e.NATSrcPort
		}
	case flow.SidePostNATDst:
		e.Dst = e.Offender
		if e.HasPorts && e.NATDstPort != 0 {
			e.DstPort = e.NATDstPort
		}
	case flow.SideInnerSrc:
		e.Src = e.Offender
	case flow.SideInnerDst:
		e.Dst = e.Offender
	}
	return e
}

// TestJSONRoundTrip: what is written is read back, field by field, and written again it is
// the same line.
func TestJSONRoundTrip(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	for range 5000 {
		e := d.event()
		for name, write := range writers {
			line := write([]byte(nil), &e)
			if len(line) > event.MaxLine {
				t.Fatalf("%d bytes", len(line))
			}
			got, err := event.ParseJSON(line)
			if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, line)
			}
			want := asWritten(e, name == "by offender")
			if bytes.Contains(line, []byte("indicators_total")) {
				shorten(&want, len(got.Indicators))
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: got\n%+v\nwant\n%+v\nin %s", name, got, want, line)
			}
			if again := write(nil, &got); !bytes.Equal(again, line) {
				t.Fatalf("%s: got\n%s\nwant\n%s", name, again, line)
			}
			sameByBinary(t, &got)
		}
	}
}

// shorten leaves the indicators that had room.
func shorten(e *event.Event, kept int) {
	e.MoreIndicators = uint32(len(e.Indicators) - kept)
	e.Indicators = e.Indicators[:kept]
	if u := e.Unknown; u != nil && len(u.Indicators) > kept {
		less := *u
		for less.Indicators = u.Indicators[:kept]; len(less.Indicators) > 0 && less.Indicators[len(less.Indicators)-1] == ""; {
			less.Indicators = less.Indicators[:len(less.Indicators)-1]
		}
		if len(less.Indicators) == 0 {
			less.Indicators = nil
		}
		if e.Unknown = &less; reflect.DeepEqual(less, event.Unknown{}) {
			e.Unknown = nil
		}
	}
}

// sameByBinary holds that the binary form keeps everything that a line has.
func sameByBinary(t *testing.T, e *event.Event) {
	t.Helper()
	b, cut := compact.Append(nil, e)
	got, err := compact.Decode(b)
	if err != nil || cut || !reflect.DeepEqual(got, *e) {
		t.Fatalf("got\n%+v\nwant\n%+v, cut %v, %v", got, *e, cut, err)
	}
}

// TestJSONReadsAllThatIsWritten: hostile and huge events do not come back whole, but what
// was written of them does: a line that is read and written again is the same.
func TestJSONReadsAllThatIsWritten(t *testing.T) {
	for _, make := range []func() event.Event{eventtest.Hit, eventtest.Alert, eventtest.RuleAlert, eventtest.Longest} {
		for i, s := range append(eventtest.Hostile, "short") {
			for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
				e := make()
				eventtest.Poison(&e, s)
				e.Kind = kind
				for name, write := range writers {
					line := write(nil, &e)
					got, err := event.ParseJSON(line)
					if err != nil {
						t.Fatalf("%s, hostile %d: %v in\n%s", name, i, err, line)
					}
					if again := write(nil, &got); !bytes.Equal(again, line) {
						t.Errorf("%s, hostile %d: got\n%s\nwant\n%s", name, i, again, line)
					}
				}
			}
		}
	}
}

// generic is what encoding/json makes of a document.
func generic(t testing.TB, doc []byte) map[string]any {
	t.Helper()
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return m
}

// TestJSONKeepsUnknownKeys puts foreign keys into every object of a line, has
// encoding/json write it, in its order and with its escapes, and compares the document
// that is left after reading and writing.
func TestJSONKeepsUnknownKeys(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(3, 4))}
	values := []any{nil, true, "text with \x00, \u2028 and <&>", json.Number("1.50e-3"), json.Number("123456789012345678901234567890"), []any{}, map[string]any{"a": []any{map[string]any{}}}}
	foreign := func(m any) {
		for i := range d.IntN(3) {
			m.(map[string]any)[fmt.Sprintf("%d %s", i, d.text())] = values[d.IntN(len(values))]
		}
	}
	for range 2000 {
		e := d.event()
		want := generic(t, event.AppendJSON(nil, &e))
		body := want["flowsnitch"].(map[string]any)
		foreign(want)
		foreign(body)
		for _, key := range []string{"nat", "inner", "geo", "as", "rule"} {
			if m := body[key]; m != nil {
				foreign(m)
			}
		}
		if list, ok := body["indicators"].([]any); ok {
			for _, m := range list {
				foreign(m)
			}
		}
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetIndent("", pick(d, "", "\t"))
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		read, err := event.ParseJSON(doc.Bytes())
		if err != nil {
			t.Fatalf("%v in %s", err, doc.Bytes())
		}
		line := event.AppendJSON(nil, &read)
		if bytes.Contains(line, []byte("indicators_total")) {
			continue // no room for all of it
		}
		if again, err := event.ParseJSON(line); err != nil || read.Rule != nil && again.Rule.LeftOut != read.Rule.LeftOut {
			continue // likewise
		}
		if got := generic(t, line); !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", line, doc.Bytes())
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x2028 }); i != len(line)-1 {
			t.Fatalf("not one line: %q", line)
		}
	}
}

// TestJSONLeavesOutUnknownKeys: where there is no room, the line is whole without them.
func TestJSONLeavesOutUnknownKeys(t *testing.T) {
	e := eventtest.Longest()
	eventtest.Poison(&e, strings.Repeat("\x01", 10_000))
	want := event.AppendJSON(nil, &e)
	e.Unknown = &event.Unknown{Top: `"big":"` + strings.Repeat("x", 3000) + `"`}
	if got := event.AppendJSON(nil, &e); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want those without unknown keys: %s", len(got), got)
	}
}

// TestParseJSONFlatOnly: a reader that cannot read arrays passes on the flat keys alone.
func TestParseJSONFlatOnly(t *testing.T) {
	e := eventtest.Hit()
	doc := generic(t, event.AppendJSON(nil, &e))
	delete(doc["flowsnitch"].(map[string]any), "indicators")
	line, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.ParseJSON(line)
	best := e.Indicators[0]
	want := []event.Indicator{{Prefix: best.Prefix, Feed: best.Feed, Category: best.Category, Ref: best.Ref, TLP: best.TLP}}
	if err != nil || !reflect.DeepEqual(got.Indicators, want) {
		t.Errorf("got %+v, %v", got.Indicators, err)
	}
}

// TestParseJSONErrors: a broken line is refused, with the place and the reason.
func TestParseJSONErrors(t *testing.T) {
	e := eventtest.Hit()
	good := strings.TrimSuffix(string(event.AppendJSON(nil, &e)), "\n")
	change := func(from, to string) string {
		if strings.Count(good, from) < 1 {
			t.Fatalf("%s is not in the line", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	nest := func(n int) string { return change(`"v":2`, `"v":2,"x":`+strings.Repeat("[", n)+strings.Repeat("]", n)) }
	for _, tt := range []struct {
		line, at, reason string // at: what begins where the error is, empty = the end
	}{
		{"", "", "it breaks off"},
		{"null", "null", "instead of an object"},
		{"[]", "[]", "instead of an object"},
		{good[:len(good)-1], "", "it breaks off"},
		{good + "{}", "{}", "more behind the end"},
		{change(`"v":2`, `"v":1`), "1,", "version 1"},
		{change(`"v":2`, `"v":3`), "3,", "version 3"},
		{change(`"v":2,`, ``), "", "v is missing"},
		{change(`"integration":"flowsnitch",`, ``), "", "integration is missing"},
		{change(`"integration":"flowsnitch"`, `"integration":"other"`), `"other"`, "is not valid"},
		{change(`"v":2`, `"v":2,"v":2`), `"v":2,"kind`, "twice"},
		{change(`"v":2`, `"v":2,"\u0076":2`), `"\u0076"`, "twice"},
		{change(`"srcport":51515`, `"srcport":65536`), "65536", "65535"},
		{change(`"srcport":51515`, `"srcport":-1`), "-1", "not a whole number"},
		{change(`"srcport":51515`, `"srcport":1e3`), "1e3", "not a whole number"},
		{change(`"srcport":51515`, `"srcport":"1"`), `"1"`, "not a number"},
		{change(`"srcport":51515`, `"srcport":01`), `01`, "not a number"},
		{change(`"score":95`, `"score":256`), "256", "255"},
		{change(`"bytes":1234`, `"bytes":18446744073709551616`), "18446744073709551616", "not a whole number"},
		{change(`"srcip":"10.0.0.5"`, `"srcip":"10.0.0"`), `"10.0.0"`, "is not valid"},
		{change(`"srcip":"10.0.0.5"`, `"srcip":"fe80::1%eth0"`), `"fe80`, "is not valid"},
		{change(`"srcip":"10.0.0.5"`, `"srcip":null`), `null`, "instead of a text"},
		{change(`"blocked":false`, `"blocked":null`), `null`, "instead of true or false"},
		{change(`"severity":"critical"`, `"severity":"worst"`), `"worst"`, "is not valid"},
		{change(`"version":"9"`, `"version":9`), `9,"in_if`, "instead of a text"},
		{change(`"tcp_flags":"APSF"`, `"tcp_flags":"X"`), `"X"`, "is not valid"},
		{change(`"prefix":"203.0.113.9/32"`, `"prefix":"203.0.113.9/33"`), `"203.0.113.9/33"`, "is not valid"},
		{change(`"id":"0192f7c0-1234-7abc`, `"id":"{192f7c0-1234-7abc`), `"{192`, "is not valid"},
		{change(`"@timestamp":"2026-11-20T23:00:00.123Z"`, `"@timestamp":"yesterday"`), `"yesterday"`, "is not valid"},
		{change(`pi-oslo`, "pi\noslo"), "\noslo", "control character"},
		{change(`pi-oslo`, `pi\xoslo`), `\xoslo`, "escape"},
		{change(`pi-oslo`, `pi\u12g4`), `\u12g4`, "escape"},
		{change(`"nat":{"src":"198.51.100.7"}`, `"nat":{"src":"198.51.100.7",}`), `},"community`, "instead of a text"},
		{change(`"v":2`, `"v":2,"x":tru`), `tru,`, "not a value"},
		{change(`"v":2`, `"v":2,"x":[1,]`), `],"kind`, "not a value"},
		{change(`"v":2`, `"v":2 "x":1`), `"x"`, "instead of a comma"},
		{nest(16), "[]]]", "in each other"},
		{change(`"v":2`, `"v":2,"x":"`+strings.Repeat("x", event.MaxJSON)+`"`), "", "longer than"},
	} {
		_, err := event.ParseJSON([]byte(tt.line))
		broken := new(jsonline.Error)
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%.60s: got %v, want %q", tt.line, err, tt.reason)
			continue
		}
		if tt.at == "" || tt.reason == "longer than" {
			continue
		}
		if rest := tt.line[broken.Offset:]; !strings.HasPrefix(rest, tt.at) {
			t.Errorf("%v: byte %d is before %.30s, want %s", err, broken.Offset, rest, tt.at)
		}
	}
	if _, err := event.ParseJSON([]byte(nest(15))); err != nil {
		t.Error(err)
	}
	var keys strings.Builder
	for i := range 300 {
		fmt.Fprintf(&keys, `,"k%d":0`, i)
	}
	if _, err := event.ParseJSON([]byte(change(`"v":2`, `"v":2`+keys.String()))); err == nil || !strings.Contains(err.Error(), "256 keys") {
		t.Errorf("got %v", err)
	}
}

// FuzzParseJSON: whatever is taken is JSON for encoding/json too, with the same values;
// what is made of it is read again, and then stays as it is.
func FuzzParseJSON(f *testing.F) {
	d := dice{rand.New(rand.NewPCG(5, 6))}
	for range 30 {
		e := d.event()
		f.Add(event.AppendJSON(nil, &e))
		f.Add(event.AppendJSONByOffender(nil, &e))
	}
	for i, s := range eventtest.Hostile {
		e := eventtest.Hit()
		eventtest.Poison(&e, s)
		e.Unknown = &event.Unknown{Top: fmt.Sprintf(`"k%d":[{"\ud800":"\u0000"}]`, i)}
		f.Add(event.AppendJSON(nil, &e))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := event.ParseJSON(line)
		if err != nil {
			return
		}
		all := generic(t, line)
		for key, got := range map[string]string{"sensor": e.Sensor, "kind": string(e.Kind)} {
			if want, _ := all[key].(string); got != want {
				t.Errorf("%s: got %q, want %q", key, got, want)
			}
		}
		if u := e.Unknown; u != nil {
			unknown := generic(t, []byte("{"+u.Top+"}"))
			for key, value := range maps.All(unknown) {
				if !reflect.DeepEqual(all[key], value) {
					t.Errorf("%q: got %v, want %v", key, value, all[key])
				}
			}
		}
		first := event.AppendJSON(nil, &e)
		again, err := event.ParseJSON(first)
		if err != nil || len(first) > event.MaxLine {
			t.Fatalf("%v: %d bytes made of %q: %q", err, len(first), line, first)
		}
		if second := event.AppendJSON(nil, &again); !bytes.Equal(second, first) {
			t.Errorf("got\n%s\nwant\n%s", second, first)
		}
		generic(t, first)
	})
}

func BenchmarkParseJSON(b *testing.B) {
	e := eventtest.Hit()
	line := event.AppendJSON(nil, &e)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := event.ParseJSON(line); err != nil {
			b.Fatal(err)
		}
	}
}

// TestParseJSONCut: a line that was cut at any byte is an error, and so is a document that
// ends within a number.
func TestParseJSONCut(t *testing.T) {
	e := eventtest.Hit()
	line := event.AppendJSON(nil, &e)
	body := bytes.TrimRight(line, "\n")
	for n := range len(body) {
		if _, err := event.ParseJSON(bytes.Clone(body[:n])); err == nil {
			t.Errorf("the first %d bytes are taken for an event", n)
		}
	}
	for _, text := range []string{"1", "-", "1.", "1.5", "1e", "1e+", `{"v":2`, `{"x":1.5`, `{"x":1e9`} {
		if _, err := event.ParseJSON([]byte(text)); err == nil {
			t.Errorf("%s is taken for an event", text)
		}
	}
}
