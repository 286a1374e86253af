package compact_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/compact"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/google/uuid"
)

// eachField calls f for every field within v, a struct, with a function that sets
// it to something other than zero. It fails for a type that it does not know.
func eachField(t *testing.T, v reflect.Value, path string, f func(path string, set func())) {
	t.Helper()
	for i := range v.NumField() {
		field, name := v.Field(i), path+v.Type().Field(i).Name
		one, ok := sample(field.Type())
		if !ok {
			t.Fatalf("%s: no sample of a %v", name, field.Type())
		}
		f(name, func() { field.Set(one) })
	}
}

// sample gives a value other than zero, with every bit set where that is possible.
func sample(typ reflect.Type) (reflect.Value, bool) {
	v := reflect.New(typ).Elem()
	switch v.Interface().(type) {
	case time.Time:
		return reflect.ValueOf(time.Date(1969, 7, 20, 20, 17, 40, 999_999_999, time.UTC)), true
	case netip.Addr:
		return reflect.ValueOf(netip.MustParseAddr("fe80::1%eth0")), true
	case netip.Prefix:
		return reflect.ValueOf(netip.MustParsePrefix("2001:db8::/32")), true
	case uuid.UUID:
		return reflect.ValueOf(uuid.MustParse("0192f7c0-1234-7abc-8def-0123456789ab")), true
	case []netip.Addr:
		return reflect.ValueOf([]netip.Addr{netip.MustParseAddr("192.0.2.1"), {}, netip.MustParseAddr("fe80::1%eth0")}), true
	case *event.Unknown:
		return reflect.ValueOf(&event.Unknown{Top: `"a":1`, Body: `"b":[{}]`, NAT: `"c":""`, Inner: `"d":null`, Geo: `"f":1`, AS: `"g":2`, Rule: `"h":3`, Indicators: []string{"", `"e":2`}}), true
	case []event.Indicator:
		return reflect.ValueOf([]event.Indicator{{Feed: "a"}, {}, {Port: 65535}}), true
	case *event.Rule:
		return reflect.ValueOf(&event.Rule{Name: "a", LeftOut: 3}), true
	case []event.RuleField:
		return reflect.ValueOf([]event.RuleField{{Field: "a", Value: "b"}, {}, {Value: "c"}}), true
	case []event.RuleShare:
		return reflect.ValueOf([]event.RuleShare{{Value: "a", Count: 1<<64 - 1}, {}}), true
	case []event.RulePort:
		return reflect.ValueOf([]event.RulePort{{Port: 65535, Count: 1<<64 - 1}, {}}), true
	case []event.RuleBar:
		return reflect.ValueOf([]event.RuleBar{{Times: 1, Values: 1<<64 - 1}, {}}), true
	case []string:
		return reflect.ValueOf([]string{"a", "", "b"}), true
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString("text with \x00 and ü")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1<<typ.Bits() - 1)
	case reflect.Int64:
		v.SetInt(-1)
	case reflect.Float64:
		v.SetFloat(0.1)
	default:
		return v, false
	}
	return v, true
}

func roundTrip(t *testing.T, e event.Event) event.Event {
	t.Helper()
	b, cut := compact.Append([]byte("before"), &e)
	if cut {
		t.Error("cut")
	}
	got, err := compact.Decode(b[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestKeepsEveryField sets one field after the other, of the event and of
// an indicator, so that none can be forgotten when one is added.
func TestKeepsEveryField(t *testing.T) {
	var e, all event.Event
	var i, every event.Indicator
	var r event.Rule
	eachField(t, reflect.ValueOf(&e).Elem(), "", func(name string, set func()) {
		e = event.Event{}
		set()
		if got := roundTrip(t, e); !reflect.DeepEqual(got, e) {
			t.Errorf("%s: got %+v, want %+v", name, got, e)
		}
	})
	eachField(t, reflect.ValueOf(&i).Elem(), "Indicator.", func(name string, set func()) {
		i = event.Indicator{}
		set()
		e := event.Event{Indicators: []event.Indicator{i}}
		if got := roundTrip(t, e); !reflect.DeepEqual(got, e) {
			t.Errorf("%s: got %+v, want %+v", name, got, e)
		}
	})
	eachField(t, reflect.ValueOf(&r).Elem(), "Rule.", func(name string, set func()) {
		r = event.Rule{}
		set()
		e := event.Event{Rule: &r}
		if got := roundTrip(t, e); !reflect.DeepEqual(got, e) {
			t.Errorf("%s: got %+v, want %+v", name, got.Rule, r)
		}
	})
	eachField(t, reflect.ValueOf(&every).Elem(), "", func(_ string, set func()) { set() })
	eachField(t, reflect.ValueOf(&all).Elem(), "", func(_ string, set func()) { set() })
	all.Indicators = []event.Indicator{every, every}
	for _, e := range []event.Event{{}, all, eventtest.Hit(), eventtest.Alert(), eventtest.RuleAlert()} {
		if got := roundTrip(t, e); !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	}
}

func TestKeepsInstants(t *testing.T) {
	e := event.Event{Time: time.Date(2026, 11, 20, 23, 0, 0, 1, time.FixedZone("", 3600))}
	if got := roundTrip(t, e); !got.Time.Equal(e.Time) || got.Time.Location() != time.UTC {
		t.Errorf("got %v, want %v in UTC", got.Time, e.Time)
	}
}

func TestGrowsAtTheEnd(t *testing.T) {
	e := eventtest.Hit()
	b, _ := compact.Append(nil, &e)
	got, err := compact.Decode(append(b, "fields of a later version"...))
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, %v", got, err)
	}
	const id, rest = 16, 22 // bytes of what came after the first version, all absent here
	for _, n := range []int{len(b) - rest - id, len(b) - rest, len(b) - rest/2, len(b) - 1} {
		if got, err = compact.Decode(b[:n]); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%d of %d bytes: got %+v, %v", n, len(b), got, err)
		}
	}
}

// TestRuleGrowsAtTheEnd: what a later version adds to a rule is left alone.
func TestRuleGrowsAtTheEnd(t *testing.T) {
	e := event.Event{Rule: eventtest.Swarm()}
	b, _ := compact.Append(nil, &e)
	const behind = 1 // the unknown keys
	more := "fields of a later version"
	at := bytes.LastIndex(b, []byte("swarm")) // in the last line for firewalls
	block := bytes.Index(b, []byte("swarm")) - 1
	if at < block {
		t.Fatal(at, block)
	}
	b = slices.Insert(b, len(b)-behind, []byte(more)...)
	binary.LittleEndian.PutUint32(b[block-4:], uint32(len(b)-behind-block))
	if got, err := compact.Decode(b); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, %v", got.Rule, err)
	}
}

// TestOfARuleIsBounded: a rule takes no room that others have, and what is too much is cut.
func TestOfARuleIsBounded(t *testing.T) {
	e := eventtest.RuleAlert()
	long := strings.Repeat("x", 100_000)
	r := event.Rule{Name: long, Title: long, Type: long}
	for range 100 {
		r.Group = append(r.Group, event.RuleField{Field: long, Value: long})
		r.Sources = append(r.Sources, event.RuleShare{Value: long, Count: 1<<64 - 1})
		r.Ports = append(r.Ports, event.RulePort{Port: 1, Count: 1<<64 - 1})
		r.Histogram = append(r.Histogram, event.RuleBar{Times: 1, Values: 1<<64 - 1})
		r.Stop = append(r.Stop, long)
	}
	r.Targets = r.Sources
	e.Rule = &r
	b, cut := compact.Append(nil, &e)
	got, err := compact.Decode(b)
	if !cut || len(b) > 64<<10 || err != nil || len(got.Rule.Sources) != event.MaxRuleShares || len(got.Rule.Stop) != event.MaxRuleStop {
		t.Errorf("%d bytes, cut %v, %v", len(b), cut, err)
	}
}

func TestCutsWhatIsTooLarge(t *testing.T) {
	e := eventtest.Longest()
	if b, cut := compact.Append(nil, &e); cut || len(b) > compact.Max {
		t.Errorf("%d bytes, cut %v", len(b), cut)
	}
	eventtest.Poison(&e, strings.Repeat("x", 100_000))
	e.Exporters = make([]netip.Addr, 1_000_000)
	b, cut := compact.Append(nil, &e)
	if !cut || len(b) > compact.Max+4 {
		t.Errorf("%d bytes, cut %v", len(b), cut)
	}
	got, err := compact.Decode(b)
	if err != nil || len(got.Reason) != 32<<10 || len(got.Indicators) == 0 || got.Indicators[0].Prefix != e.Indicators[0].Prefix {
		t.Errorf("%d indicators, %v", len(got.Indicators), err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	for _, e := range []event.Event{eventtest.Hit(), eventtest.RuleAlert()} {
		buf := make([]byte, 0, 8192)
		if n := testing.AllocsPerRun(100, func() { buf, _ = compact.Append(buf[:0], &e) }); n != 0 {
			t.Errorf("%v allocations per %s", n, e.Kind)
		}
	}
}

func FuzzCompact(f *testing.F) {
	for _, e := range []event.Event{{}, eventtest.Hit(), eventtest.Alert(), eventtest.RuleAlert()} {
		b, _ := compact.Append(nil, &e)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := compact.Decode(b)
		if err != nil {
			return
		}
		again, cut := compact.Append(nil, &e)
		got, err := compact.Decode(again)
		if err != nil || !cut && !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
	})
}

func BenchmarkCompact(b *testing.B) {
	e := eventtest.Hit()
	buf, _ := compact.Append(nil, &e)
	b.Logf("%d bytes", len(buf))
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = compact.Append(buf[:0], &e)
		}
	})
	buf, _ = compact.Append(buf[:0], &e)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = compact.Decode(buf)
		}
	})
}
