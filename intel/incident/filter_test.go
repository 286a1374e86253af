package incident

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestFields: each filter reads its own example, gives it back, and what it gives back is
// read as the same filter.
func TestFields(t *testing.T) {
	for _, d := range Fields() {
		f, err := parseFilter(url.Values{d.Name: {d.Example}}, noon)
		if err != nil || f.IsZero() || d.Help == "" {
			t.Errorf("%s: %q gives %+v, %v", d.Name, d.Example, f, err)
			continue
		}
		v := f.Values()
		if names := slices.Collect(maps.Keys(v)); len(names) != 1 || names[0] != d.Name {
			t.Errorf("%s: gives the parameters %v", d.Name, names)
		}
		again, err := parseFilter(v, noon.Add(time.Hour))
		if err != nil || !reflect.DeepEqual(f, again) {
			t.Errorf("%s: %v is read as %+v, not %+v (%v)", d.Name, v, again, f, err)
		}
	}
	if n := reflect.TypeFor[Filter]().NumField(); n != len(fields) {
		t.Errorf("%d fields of the Filter, %d filters", n, len(fields))
	}
}

// TestParseFilter: what is read, and what is refused with the name of the parameter.
func TestParseFilter(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "all"},
		{"first-before=2015-01-01&last-after=2015-02", "first-before 2015-01-01T00:00:00Z; last-after 2015-02-01T00:00:00Z"},
		{"last-after=7d&first-after=2026-11-30T13:00:00.5%2b02:00", "first-after 2026-11-30T11:00:00Z; last-after 2026-11-23T12:00:00Z"},
		{"state=new,open&state=false-alarm,new", "state new,open,false_alarm"},
		{"severity=low", "all"}, {"severity=critical&answered=no&retro=yes", "severity critical; answered no; retro yes"},
		{"service=tcp/22,53,icmp,UDP/53,200/5", "service tcp/22,53,icmp,udp/53,200/5"},
		{"offender=203.0.113.9,203.0.113.77/24,2001:db8::1/32,::ffff:192.0.2.1,::ffff:192.0.2.0/120", "offender 203.0.113.9,203.0.113.0/24,2001:db8::/32,192.0.2.1,192.0.2.0/24"},
		{"host=10.0.0.0/8&site=oslo", "host 10.0.0.0/8; site oslo"},
		{"country=nl&as=AS64500,64501", "country NL; as 64500,64501"},
		{"direction=outbound,transit", "direction outbound,transit"},
		{"text=100%25_'%20or%201=1", "text 100%_' or 1=1"},
		{"feed=,,&text=", "all"},
	} {
		v, _ := url.ParseQuery(c.in)
		f, err := parseFilter(v, noon)
		if got := f.String(); err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.in, got, err, c.want)
		}
	}
	huge := strings.Repeat("a", 1<<20)
	for _, c := range []struct{ in, want string }{
		{"colour=red", "colour: is no filter"}, {"first-before=yesterday", "first-before: \"yesterday\" is no time"},
		{"first-before=-5d", "is no time"}, {"first-before=1&first-before=2", "first-before: is given more than once"},
		{"severity=worst", "severity: "}, {"state=gone", "state: "}, {"service=tcp/70000", "service: "}, {"service=nope/1", "service: "}, {"service=tcp/", "service: "},
		{"offender=203.0.113", "offender: "}, {"offender=fe80::1%25eth0", "offender: "}, {"host=1.2.3.4/33", "host: "},
		{"country=NLD", "country: "}, {"country=n%C3%A9", "country: "}, {"as=0", "as: "}, {"as=4294967296", "as: "},
		{"answered=maybe", "answered: "}, {"direction=up", "direction: "},
		{"text=a%00b", "text: has control characters"}, {"text=%ff", "text: is not UTF-8"}, {"text=" + huge, "text: 1048576 bytes"},
		{"feed=" + strings.Repeat("a,", 1000), "feed: more than 200 values"}, {"feed=" + huge, "feed: 1048576 bytes"},
		{"x" + huge + "=1", "…: is no filter"},
	} {
		v, err := url.ParseQuery(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = parseFilter(v, noon); err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
			t.Errorf("%.60s: %v, want %q", c.in, err, c.want)
		}
	}
}

// FuzzParseFilter: whatever is read is read again from what it gives.
func FuzzParseFilter(f *testing.F) {
	for _, d := range fields {
		f.Add(d.Name, d.Example)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		filter, err := parseFilter(url.Values{name: {value}}, noon)
		if err != nil {
			return
		}
		again, err := parseFilter(filter.Values(), noon)
		if err != nil || !reflect.DeepEqual(filter.Values(), again.Values()) {
			t.Errorf("%s=%q: %v is read as %v (%v)", name, value, filter.Values(), again.Values(), err)
		}
	})
}

// TestParseQuery: order and pages of a list.
func TestParseQuery(t *testing.T) {
	q, err := parseQuery(url.Values{"sort": {"flows"}, "order": {"asc"}, "limit": {"7"}, "after": {"x"}, "feed": {"a"}}, noon)
	if err != nil || q.Sort != ByFlows || q.Descending || q.Limit != 7 || q.After != "x" || q.Feeds[0] != "a" {
		t.Errorf("%+v, %v", q, err)
	}
	if again, err := parseQuery(q.Values(), noon); err != nil || !reflect.DeepEqual(q, again) {
		t.Errorf("%+v is read as %+v, %v", q, again, err)
	}
	if q, err := parseQuery(nil, noon); err != nil || q.Sort != ByRank || !q.Descending || q.Limit != DefaultLimit {
		t.Errorf("without parameters: %+v, %v", q, err)
	}
	for _, s := range Sorts() {
		if again, err := ParseSort(s.String()); again != s || err != nil {
			t.Errorf("%v: %v, %v", s, again, err)
		}
	}
	for _, bad := range []string{"sort=hits", "order=up", "limit=0", "limit=1001", "limit=x", "after=%00", "sort=last&sort=first", "x=1"} {
		v, _ := url.ParseQuery(bad)
		if _, err := parseQuery(v, noon); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestReadme: the page has the table of all filters.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| filter | chooses | such as |\n| --- | --- | --- |\n")
	for _, d := range Fields() {
		several := ""
		if d.Many {
			several = ", several"
		}
		fmt.Fprintf(&table, "| `%s`%s | %s | `%s` |\n", d.Name, several, d.Help, d.Example)
	}
	if !strings.Contains(string(b), table.String()) {
		t.Errorf("README.md has another table of filters; this is the right one:\n%s", table.String())
	}
}
