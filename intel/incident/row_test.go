package incident

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// sample has a value in every field that is written.
func sample() Incident {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sums := Sums{1, 2, 3, 4, 5}
	host := Host{"oslo", netip.MustParseAddr("10.0.0.5")}
	return Incident{
		Offender: netip.MustParseAddr("2001:db8::9"), State: FalseAlarm, Owner: "ann", Since: at, First: at.Add(-time.Hour), Last: at, Days: 2, Sums: sums,
		Contacts: 6, Hosts: 1000, MoreHosts: true, Ports: 7, MorePorts: true, Worst: event.Critical, Score: 95, Reason: "c2 <listed>", Called: true, Answered: true,
		Inbound: true, Outbound: true, Internal: true, Transit: true, Blocked: true, Refused: true, Retro: true, Silenced: 8,
		Country: "NL", ASNumber: 64500, ASName: "EXAMPLE", Exporters: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
		Listings: []Listing{{"feodo", "c2", netip.MustParsePrefix("2001:db8::/64"), "https://example.org", "text", "amber", 90, at, at}},
		HostList: []HostShare{{host, sums, at, at, 1, event.High, true, true, true, true, true}}, Services: []Service{{6, 443, 9}},
		Daily: []Day{{20787, 1, 2, 3}}, Notes: []Note{{at, "ann", "hm"}}, Audit: []Entry{{at, "ann", "take", "d"}},
	}
}

// allSet fails for each field that has no value, so that a new one is not forgotten.
func allSet(t *testing.T, v reflect.Value, besides ...string) {
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !slices.Contains(besides, name) {
			t.Errorf("%s of the sample has no value", name)
		}
	}
}

// TestJSON: what is written is read as the same, with keys of lower case.
func TestJSON(t *testing.T) {
	i := sample()
	allSet(t, reflect.ValueOf(i), "ID")
	h := HostRow{HostShare{i.HostList[0].Host, i.Sums, i.First, i.Last, 3, event.High, true, true, true, true, true}, 4, []netip.Addr{i.Offender}}
	allSet(t, reflect.ValueOf(h))
	for _, v := range []any{&i, &Incident{Offender: i.Offender}, &h, &HostRow{}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := json.Unmarshal(b, again); err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%s\nis read as %+v, %v", b, again, err)
		}
		var keys map[string]any
		_ = json.Unmarshal(b, &keys)
		for k := range keys {
			if k != strings.ToLower(k) || strings.Contains(k, "-") {
				t.Errorf("key %q", k)
			}
		}
	}
	for _, bad := range []string{`{"state":"gone"}`, `{"severity":"bad"}`, `{"services":[{"protocol":"x"}]}`, `{"daily":[{"day":"x"}]}`, "[]"} {
		if json.Unmarshal([]byte(bad), new(Incident)) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestCells: there is a cell for each column, named as the key of the JSON, and no foreign text
// becomes a formula.
func TestCells(t *testing.T) {
	i := sample()
	h := HostRow{HostShare{i.HostList[0].Host, i.Sums, i.First, i.Last, 3, event.High, true, true, true, true, true}, 4, []netip.Addr{i.Offender}}
	for _, c := range []struct {
		columns, cells []string
		json           any
	}{{Columns(), i.Cells(), i}, {HostColumns(), h.Cells(), h}} {
		if len(c.columns) != len(c.cells) {
			t.Fatalf("%d columns, %d cells", len(c.columns), len(c.cells))
		}
		b, _ := json.Marshal(c.json)
		var keys map[string]any
		_ = json.Unmarshal(b, &keys)
		for n, name := range c.columns {
			if _, ok := keys[name]; !ok || c.cells[n] == "" {
				t.Errorf("column %s: %q, key %v", name, c.cells[n], ok)
			}
		}
	}
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", `=HYPERLINK("http://x","a,b")`} {
		i.Owner, i.Reason, i.ASName, i.Country, h.Site = text, text, text, text, text
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		_ = w.WriteAll([][]string{i.Cells(), append(h.Cells(), make([]string, len(Columns())-len(HostColumns()))...)})
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range slices.Concat(rows...) {
			if cell != "" && strings.Contains("=+-@\t\r", cell[:1]) {
				t.Errorf("%q begins as a formula: %q", text, cell)
			}
		}
	}
}

// TestWay: what happened is the worst of it, in the same words for incidents, their hosts, and
// hosts; and the words are in JSON and CSV.
func TestWay(t *testing.T) {
	for _, c := range []struct {
		i    Incident
		want Way
	}{
		{Incident{Called: true, Answered: true, Outbound: true, Inbound: true}, WayCalled},
		{Incident{Called: true, Answered: true, Internal: true}, WayCalled},
		{Incident{Outbound: true}, WayTried},
		{Incident{Outbound: true, Inbound: true, Answered: true}, WayTried},
		{Incident{Inbound: true, Answered: true}, WayAnswered},
		{Incident{Inbound: true}, WayScanned},
		{Incident{Inbound: true, Internal: true}, WayScanned},
		{Incident{Internal: true, Answered: true}, WayInternal},
		{Incident{Transit: true, Answered: true}, WayTransit},
		{Incident{Transit: true, Inbound: true}, WayScanned},
		{Incident{Answered: true}, WayUnknown},
		{Incident{}, WayUnknown},
	} {
		i := &c.i
		share := HostShare{Called: i.Called, Answered: i.Answered, Inbound: i.Inbound, Outbound: i.Outbound, Internal: i.Internal}
		row := HostRow{HostShare: share}
		ofHost := c.want
		if ofHost == WayTransit {
			ofHost = WayUnknown // a host of ours has no such contacts
		}
		if i.Way() != c.want || share.Way() != ofHost || row.Way() != ofHost {
			t.Errorf("%+v: %s, of the host %s and %s; want %s", c.i, i.Way(), share.Way(), row.Way(), c.want)
		}
		i.HostList = []HostShare{share}
		for _, v := range []any{i, &row} {
			b, err := json.Marshal(v)
			if err != nil || strings.Count(string(b), `"what":"`+string(c.want)+`"`)+strings.Count(string(b), `"what":"`+string(ofHost)+`"`) < 1 {
				t.Errorf("%s, %v", b, err)
			}
		}
		if at := slices.Index(Columns(), "what"); i.Cells()[at] != string(c.want) {
			t.Errorf("%v", i.Cells())
		}
		if at := slices.Index(HostColumns(), "what"); row.Cells()[at] != string(ofHost) {
			t.Errorf("%v", row.Cells())
		}
	}
}
