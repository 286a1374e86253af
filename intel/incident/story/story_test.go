package story

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

var (
	now      = time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	offender = netip.MustParseAddr("203.0.113.9")
)

func host(a string) incident.Host { return incident.Host{Addr: netip.MustParseAddr(a)} }

// beacon is a host of ours that has called its control server for three days.
func beacon() incident.Incident {
	first := now.Add(-72*time.Hour + 30*time.Minute)
	i := incident.Incident{
		Offender: offender, State: incident.New, Since: first, First: first, Last: now.Add(-18 * time.Minute), Days: 4, Contacts: 1, Hosts: 1, Ports: 1,
		Worst: event.Critical, Score: 95, Reason: "c2 listed by feodo, called every 30 minutes", Called: true, Answered: true, Outbound: true,
		Listings: []incident.Listing{{Feed: "feodo", Category: "c2", Score: 95}, {Feed: "otx", Category: "malware"}},
		HostList: []incident.HostShare{{Host: host("10.1.2.77"), Called: true, Answered: true, Worst: event.Critical}},
		Services: []incident.Service{{Protocol: 6, Port: 443, Flows: 145}},
	}
	i.Sums = incident.Sums{Flows: 145, BytesOut: 3 << 20, BytesIn: 1 << 20}
	today := incident.DayOf(now)
	i.Daily = []incident.Day{{Day: today - 2, Flows: 48}, {Day: today - 1, Flows: 48, BytesOut: 1 << 20}, {Day: today, Flows: 6, BytesOut: 130 << 10}}
	return i
}

func TestStory(t *testing.T) {
	b := beacon()
	want := `Your host 10.1.2.77 calls 203.0.113.9, and got an answer, on 443/tcp.
First contact Fri 2026-11-27 03:30, last today 02:42 (18 minutes ago); contact on 4 days.
About as much as yesterday: 6 flows with 130.0 KiB sent today by now (UTC), 48 flows with 1.0 MiB sent in all of yesterday.
145 flows in 1 contact; your side sent 3.0 MiB and received 1.0 MiB.
Severity critical, score 95: c2 listed by feodo, called every 30 minutes.
Listed by feodo (c2) and otx (malware).
Not looked at yet.`
	if got := strings.Join(Of(&b, now), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if a := Advice(&b); len(a) != 3 || !strings.HasPrefix(a[0], "Take your host 10.1.2.77 off the network, or block 203.0.113.9") {
		t.Errorf("advice %q", a)
	}
}

// TestKinds: what happens, and what is to be done, by the directions and answers.
func TestKinds(t *testing.T) {
	scan := func(i *incident.Incident) { i.Called, i.Answered, i.Outbound, i.Inbound = false, false, false, true }
	for _, tt := range []struct {
		name         string
		change       func(i *incident.Incident)
		what, advice string
	}{
		{"called, medium", func(i *incident.Incident) { i.Worst = event.Medium }, "calls 203.0.113.9, and got an answer", "Find out what your host 10.1.2.77 does there"},
		{"called, no answer", func(i *incident.Incident) { i.Called, i.Answered = false, false }, "tries to reach 203.0.113.9, without an answer so far", "No answer was seen"},
		{"scanned", scan, "203.0.113.9 knocks at your host 10.1.2.77 from outside, on 443/tcp; no host has answered.", "this needs nobody at night"},
		{"scanned, answered", func(i *incident.Incident) { scan(i); i.Answered = true }, "came from outside, and your host 10.1.2.77 answered", "Look in the logs of your host 10.1.2.77"},
		{"many hosts", func(i *incident.Incident) { scan(i); i.HostList, i.Hosts, i.MoreHosts = nil, 1000, true }, "knocks at more than 1000 hosts of yours", "No host"},
		{"listed host beside others", func(i *incident.Incident) { i.Hosts = 7 }, "10.1.2.77 and 6 more of your hosts call 203.0.113.9", "Take 10.1.2.77 and 6 more"},
		{"two hosts", func(i *incident.Incident) {
			i.HostList = append(i.HostList, incident.HostShare{Host: incident.Host{Site: "oslo", Addr: host("10.1.2.78").Addr}, Called: true, Answered: true})
			i.Hosts = 2
		}, "Your hosts 10.1.2.77 and 10.1.2.78 at oslo call", "Take your hosts"},
		{"no list", func(i *incident.Incident) { i.HostList = nil }, "a host of yours calls", "Take a host of yours off"},
		{"transit", func(i *incident.Incident) { i.Called, i.Outbound, i.Answered, i.Transit = false, false, false, true }, "neither end of its flows", "add its network to 'home'"},
		{"internal", func(i *incident.Incident) { i.Called, i.Outbound, i.Answered, i.Internal = false, false, false, true }, "listed and an address of yours", "Find out who lists"},
		{"nothing known", func(i *incident.Incident) { i.Called, i.Outbound, i.Answered = false, false, false }, "do not show who began", "Find out who began"},
		{"closed", func(i *incident.Incident) { i.State = incident.Closed }, "calls", "It is closed"},
		{"false alarm", func(i *incident.Incident) { i.State = incident.FalseAlarm }, "calls", "It is marked as a false alarm"},
	} {
		i := beacon()
		tt.change(&i)
		if got := What(&i); !strings.Contains(strings.ToLower(got), strings.ToLower(tt.what)) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.what)
		}
		if got := strings.Join(Advice(&i), " "); !strings.Contains(got, tt.advice) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.advice)
		}
	}
}

func TestTrend(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	day := incident.DayOf(noon)
	for _, tt := range []struct {
		today, yesterday uint64
		at, first        time.Time
		want             string
	}{
		{0, 0, noon, now.AddDate(0, 0, -9), "Quiet"},
		{9, 0, noon, noon.Add(-time.Hour), "New today: 9 flows"},
		{9, 0, noon, now.AddDate(0, 0, -9), "It is back"},
		{9, 8, noon, now.AddDate(0, 0, -9), "Worse than yesterday: 9 flows today by now (UTC), 8 flows in all"},
		{8, 9, noon, now.AddDate(0, 0, -9), "On the way to more"},
		{5, 9, noon, now.AddDate(0, 0, -9), "About as much"},
		{1, 9, noon, now.AddDate(0, 0, -9), "Less than yesterday: 1 flow today"},
		{0, 9, noon, now.AddDate(0, 0, -9), "Less than yesterday: no flow today"},
		{1, 9, noon.Add(-11*time.Hour - 30*time.Minute), now.AddDate(0, 0, -9), "Too early"},
		{10, 9, noon.Add(-11*time.Hour - 30*time.Minute), now.AddDate(0, 0, -9), "Worse"},
	} {
		daily := []incident.Day{{Day: day - 40, Flows: 1}, {Day: day - 1, Flows: tt.yesterday}, {Day: day, Flows: tt.today}}
		if got := Trend(daily, tt.first, tt.at); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%d today, %d yesterday: %q, want %q", tt.today, tt.yesterday, got, tt.want)
		}
	}
	if got := Trend(nil, now, now); got != "" {
		t.Errorf("without days: %q", got)
	}
}

func TestAttention(t *testing.T) {
	for want, change := range map[string]func(i *incident.Incident){
		"Not looked at yet.":                                    func(*incident.Incident) {},
		"anna has taken it, today 02:00.":                       func(i *incident.Incident) { i.State, i.Owner, i.Since = incident.Taken, "anna", now.Add(-time.Hour) },
		"It is open; nobody looks after it.":                    func(i *incident.Incident) { i.State = incident.Open },
		"bo closed it 3 days ago, and it has come back; nobody": func(i *incident.Incident) { i.State = incident.Open; i.Audit = entries("close") },
		"It was closed by bo, Fri 2026-11-27 03:30.":            func(i *incident.Incident) { i.State = incident.Closed; i.Audit = entries("take", "close") },
		"It was marked as a false alarm by bo, Fri":             func(i *incident.Incident) { i.State = incident.FalseAlarm; i.Audit = entries("false_alarm") },
		"Not looked at yet. Last note, by bo 1 minute ago: asks": func(i *incident.Incident) {
			i.Notes = []incident.Note{{Time: now.Add(-time.Minute), Author: "bo", Text: "asks"}}
		},
	} {
		i := beacon()
		change(&i)
		if got := Attention(&i, now); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func entries(acts ...string) (list []incident.Entry) {
	for _, a := range acts {
		list = append(list, incident.Entry{Time: now.AddDate(0, 0, -3), Author: "bo", Act: a})
	}
	return list
}

// TestHostile: no text of others comes out as more than text.
func TestHostile(t *testing.T) {
	const evil = "x\x1b[2J\r\n\u202e\u009b31m<script>\x00" + "y"
	i := beacon()
	i.State, i.Owner, i.Reason = incident.Taken, evil, evil
	i.Listings = []incident.Listing{{Feed: evil, Category: evil}}
	i.HostList[0].Site = evil
	i.Notes = []incident.Note{{Time: now, Author: evil, Text: evil + strings.Repeat("z", 5000)}}
	h := incident.HostRow{HostShare: incident.HostShare{Host: i.HostList[0].Host, Called: true, Worst: event.High}}
	for _, s := range append(append(Of(&i, now), Advice(&i)...), OfHost(&h, nil, now)...) {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || len(s) > 1200 {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	}
}

// TestBlock: lines for the family of the address, and none for what is ours.
func TestBlock(t *testing.T) {
	four, six := Block(offender), Block(netip.MustParseAddr("2001:db8::9"))
	if len(four) != 6 || four[0].Text != "nft insert rule inet filter forward ip daddr 203.0.113.9 drop" || six[2].Text != "ip6tables -I FORWARD -d 2001:db8::9 -j DROP" {
		t.Errorf("%v\n%v", four, six)
	}
	for _, s := range []string{"10.1.2.3", "127.0.0.1", "fe80::1", "fd00::1", "0.0.0.0", "224.0.0.1"} {
		if lines := Block(netip.MustParseAddr(s)); lines != nil {
			t.Errorf("%s: %v", s, lines)
		}
	}
	if Block(netip.Addr{}) != nil {
		t.Error("lines for no address")
	}
}

func TestHost(t *testing.T) {
	free, taken := incident.Incident{State: incident.New}, incident.Incident{State: incident.Taken}
	for want, list := range map[string][]incident.Incident{
		"received.":                        {taken},
		"Nobody looks after its incident.": {free},
		"Nobody looks after any of the 2 incidents shown.": {free, free},
		"Nobody looks after 1 of the 2 incidents shown.":   {free, taken},
	} {
		if text := OfHost(&incident.HostRow{HostShare: incident.HostShare{Host: host("10.1.2.77"), First: now, Last: now}}, list, now); !strings.HasSuffix(text[len(text)-1], want) {
			t.Errorf("got %q, want %q", text[len(text)-1], want)
		}
	}
	h := incident.HostRow{HostShare: incident.HostShare{Host: host("10.1.2.77"), First: now.AddDate(0, 0, -3), Last: now, Days: 3, Worst: event.Critical, Called: true, Answered: true}, Offenders: 2}
	got := strings.Join(OfHost(&h, []incident.Incident{{State: incident.New}, {State: incident.Taken}}, now), "\n")
	for _, want := range []string{"10.1.2.77 called listed addresses, and they answered: treat it as compromised", "2 offenders, the worst severity is critical", "Nobody looks after 1 of the 2 incidents shown."} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
