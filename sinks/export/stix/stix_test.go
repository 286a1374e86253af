package stix

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestSTIX reads the bundle.
func TestSTIX(t *testing.T) {
	seen := now.Add(-48 * time.Hour)
	sample := []intel.Indicator{
		{Prefix: netip.MustParsePrefix("62.0.0.9/32"), Feed: "feodo", Score: 95, Category: "c2", Expires: now.Add(26*time.Hour + 90*time.Second), FirstSeen: seen, TLP: "green"},
		{Prefix: netip.MustParsePrefix("62.0.1.0/24"), Feed: "feodo", Score: 50, LastSeen: seen},
		{Prefix: netip.MustParsePrefix("62.0.2.1/32"), Feed: "feodo", Score: 70, Category: "c2", Port: 443},
		{Prefix: netip.MustParsePrefix("2a00:1::/32"), Feed: "feodo", Score: 60, Category: "c2", TLP: "white"},
		{Prefix: netip.MustParsePrefix("2a00:2::7/128"), Feed: "feodo", Score: 60, Category: "c2", Port: 25},
	}
	pieces := func(yield func(netipx.IPRange, []intel.Indicator) bool) {
		for i := range sample {
			if !yield(netipx.RangeOfPrefix(sample[i].Prefix), sample[i:i+1]) {
				return
			}
		}
	}
	l, err := export.Make(row.Can{Ports: true, Timeouts: true, Reasons: true, Dates: true}, pieces, new(netipx.IPSet), choice.Default(), now)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	w := bufio.NewWriter(&text)
	Write(w, l)
	w.Flush()
	var bundle struct {
		Type    string
		Objects []object
	}
	if err := json.Unmarshal(text.Bytes(), &bundle); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range bundle.Objects {
		got = append(got, strings.TrimSpace(fmt.Sprint(x.Type, " ", x.Pattern, " ", x.Created, " ", x.Modified, " ", x.ValidUntil, " ", x.Confidence, x.Labels, len(x.Markings))))
	}
	const first = "1970-01-01T00:00:00.000Z"
	const made = "2026-11-30T12:00:00.000Z"
	want := []string{
		"identity  1970-01-01T00:00:00.000Z 1970-01-01T00:00:00.000Z  0 [] 0",
		"note  " + first + " " + made + "  0 [] 0",
		"marking-definition  2017-01-20T00:00:00.000Z   0 [] 0",
		"indicator [ipv4-addr:value = '62.0.0.9'] 1970-01-01T00:00:00.000Z " + made + " 2026-12-01T14:01:30.000Z 95 [c2] 1",
		"indicator [ipv4-addr:value = '62.0.1.0/24'] 1970-01-01T00:00:00.000Z " + made + "  50 [] 0",
		"marking-definition  2017-01-20T00:00:00.000Z   0 [] 0",
		"indicator [ipv6-addr:value = '2a00:1::/32'] 1970-01-01T00:00:00.000Z " + made + "  60 [c2] 1",
		"indicator [network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value = '2a00:2::7' AND network-traffic:dst_port = 25] 1970-01-01T00:00:00.000Z " + made + "  60 [c2] 0",
		"indicator [network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '62.0.2.1' AND network-traffic:dst_port = 443] 1970-01-01T00:00:00.000Z " + made + "  70 [c2] 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestVersions: what has changed between two lists of one entry is another version of the same
// objects, created at the same time, and nothing else is new.
func TestVersions(t *testing.T) {
	type version struct{ created, modified string }
	list := func(at, first, last time.Time, contacts uint64) map[string]version {
		t.Helper()
		m, err := export.NewMaker(row.Can{Ports: true, Timeouts: true, Reasons: true, Dates: true}, new(netipx.IPSet), choice.Default(), "seen here", at)
		if err != nil {
			t.Fatal(err)
		}
		m.Add(&export.Seen{Addr: netip.MustParseAddr("62.0.0.9"), Contacts: contacts, First: first, Last: last, Listings: []intel.Indicator{{Feed: "f", Score: 50, FirstSeen: first}}})
		var text bytes.Buffer
		w := bufio.NewWriter(&text)
		Write(w, m.Done())
		w.Flush()
		var bundle struct{ Objects []object }
		if err := json.Unmarshal(text.Bytes(), &bundle); err != nil {
			t.Fatal(err)
		}
		versions := make(map[string]version)
		for _, o := range bundle.Objects {
			versions[o.ID] = version{o.Created, o.Modified}
		}
		return versions
	}
	before := list(now, time.Time{}, now.Add(-time.Hour), 1)
	after := list(now.Add(time.Hour), now.Add(-48*time.Hour), now, 7)
	if len(before) != 4 || len(after) != 4 {
		t.Errorf("%v, %v", before, after)
	}
	for id, b := range before {
		a, ok := after[id]
		if !ok || a.created != b.created || a.modified <= b.modified && !strings.HasPrefix(id, "identity") || a.modified < a.created {
			t.Errorf("%s: %v, later %v, %t", id, b, a, ok)
		}
	}
}
