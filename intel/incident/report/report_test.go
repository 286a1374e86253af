package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report/columns"
)

var (
	from  = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	until = from.AddDate(0, 0, 7)
)

// hostile is what a feed, a network or a user could be called.
const hostile = "=cmd|'/C calc'!A0 \x1b[31m\u202e<script>alert(1)</script>\"'&\r\n{{.}}"

// A store answers with what it was given.
type store struct {
	period   incident.Period
	rows     []incident.Incident
	hosts    []incident.HostRow
	gone     []netip.Addr // are forgotten before Get
	fails    error
	failures int // calls until it fails
}

func (s *store) fail() error {
	if s.fails == nil {
		return nil
	}
	if s.failures--; s.failures >= 0 {
		return nil
	}
	return s.fails
}

func (s *store) Period(context.Context, time.Time, time.Time) (*incident.Period, error) {
	return &s.period, s.fail()
}

// List gives what the filter of times, state and severity chooses.
func (s *store) List(_ context.Context, q incident.Query) (incident.Page[incident.Incident], error) {
	var p incident.Page[incident.Incident]
	skip, _ := strconv.Atoi(q.After)
	for _, i := range s.rows {
		if i.First.Before(q.FirstAfter) || !q.LastBefore.IsZero() && i.Last.After(q.LastBefore) || !q.FirstBefore.IsZero() && i.First.After(q.FirstBefore) || i.Last.Before(q.LastAfter) || i.Worst < q.MinSeverity ||
			len(q.States) > 0 && !slices.Contains(q.States, i.State) {
			continue
		}
		p.Total++
		if p.Total > skip && len(p.Rows) < q.Limit {
			i.Listings, i.Daily = nil, nil
			p.Rows = append(p.Rows, i)
		}
	}
	if end := skip + len(p.Rows); end < p.Total {
		p.Next = strconv.Itoa(end)
	}
	return p, s.fail()
}

func (s *store) Hosts(context.Context, incident.Query) (incident.Page[incident.HostRow], error) {
	return incident.Page[incident.HostRow]{Rows: slices.Clone(s.hosts), Total: len(s.hosts)}, s.fail()
}

func (s *store) Get(_ context.Context, offender netip.Addr) (*incident.Incident, error) {
	for _, i := range s.rows {
		if i.Offender != offender || slices.Contains(s.gone, offender) {
			continue
		}
		if i.Daily == nil {
			for d := incident.DayOf(i.First); d <= incident.DayOf(i.Last); d++ {
				i.Daily = append(i.Daily, incident.Day{Day: d})
			}
		}
		return &i, s.fail()
	}
	return nil, fmt.Errorf("%s: %w", offender, incident.ErrUnknown)
}

// week is a week with something in every part.
func week() *store {
	at := func(days, hours int) time.Time { return from.AddDate(0, 0, days).Add(time.Duration(hours) * time.Hour) }
	addr := netip.MustParseAddr
	s := &store{period: incident.Period{
		From: from, Until: until, Offenders: 3, New: 2, Known: 1, Before: 40, Hosts: 2, Sums: incident.Sums{Flows: 1600, BytesOut: 5000},
		Attempts:  []incident.Bucket{{From: 1, To: 1, Offenders: 1}, {From: 2, To: 10, Offenders: 1}, {From: 1000, Offenders: 1}},
		Days:      []incident.DaySum{{Day: incident.Day{Day: incident.DayOf(from), Flows: 1544}, Offenders: 1}},
		Countries: []incident.PlaceSum{{Country: "NL", Offenders: 2, Flows: 1550}, {Offenders: 1, Flows: 50}},
		Networks:  []incident.PlaceSum{{ASNumber: 64500, ASName: hostile, Offenders: 2, Flows: 1550}},
		Feeds:     []incident.FeedSum{{Feed: hostile, Offenders: 3, Unique: 1, Flows: 1600, Verdict: incident.Verdict{Confirmed: 1, False: 2, Open: 3}}},
		Alerts: []incident.AlertSum{{Name: "own_address_listed", Count: 2, Severity: event.High, First: at(1, 0), Last: at(2, 0), Reason: hostile},
			{Name: "own_address_listed", Count: 1, Severity: event.High, First: at(1, 0), Last: at(1, 0), Reason: "198.51.100.7 is listed by secret", TLP: "Red"}},
		Raised: raised(), MoreRaised: 3,
		Silenced: 12, SilencedOffenders: 1,
	}}
	for h := range 7 * 24 {
		if h >= 40 && h < 50 {
			continue // did not run
		}
		p := incident.HourPulse{Hour: from.Add(time.Duration(h) * time.Hour), Pulse: incident.Pulse{Minutes: 60, Flows: 1000}}
		if h >= 100 && h < 103 {
			p.Flows, p.Findings = 0, []string{"router edge-1 is silent " + hostile}
		}
		s.period.Pulses = append(s.period.Pulses, p)
	}
	listed := func(tlp string) []incident.Listing {
		return []incident.Listing{{Feed: "feodo", Category: "c2", TLP: tlp, Score: 90}}
	}
	s.rows = []incident.Incident{
		{Offender: addr("203.0.113.9"), Worst: event.Critical, Reason: "c2 listed by feodo (90); outbound, answered", First: at(1, 0), Last: at(6, 0), Days: 5, Sums: incident.Sums{Flows: 48, BytesOut: 4096}, Hosts: 1, Called: true, Answered: true, Country: "NL", ASNumber: 64500, ASName: hostile, Listings: listed("white")},
		{Offender: addr("203.0.113.10"), Worst: event.High, State: incident.Taken, Owner: hostile, Reason: hostile, First: at(-90, 0), Last: at(3, 0), Days: 3, Sums: incident.Sums{Flows: 1544}, Hosts: 1000, MoreHosts: true, Listings: listed("")},
		{Offender: addr("203.0.113.11"), Worst: event.High, Reason: "c2 listed by secret (95), feodo (90)", First: at(2, 0), Last: at(3, 0), Days: 1, Hosts: 1, Listings: append(listed("green"), incident.Listing{Feed: "secret", TLP: "RED", Score: 95})},
		{Offender: addr("203.0.113.12"), Worst: event.Critical, Reason: "c2 listed by secret (95)", First: at(2, 0), Last: at(3, 0), Days: 1, Hosts: 1, Listings: []incident.Listing{{Feed: "secret", TLP: "amber"}}},
	}
	s.hosts = []incident.HostRow{
		{HostShare: incident.HostShare{Host: incident.Host{Site: hostile, Addr: addr("10.0.0.5")}, Worst: event.Critical, Days: 5, Called: true, Answered: true, Sums: incident.Sums{BytesOut: 4096}}, Offenders: 2, Top: []netip.Addr{addr("203.0.113.9"), addr("203.0.113.12")}},
		{HostShare: incident.HostShare{Host: incident.Host{Addr: addr("10.0.0.7")}, Worst: event.Low, Days: 1, Sums: incident.Sums{Flows: 1544}}, Offenders: 1},
	}
	return s
}

func options() Options {
	return Options{Sensor: "pi-" + hostile, From: from, Until: until, MaxTLP: DefaultTLP, Now: until.Add(7 * time.Hour),
		Silences: []Silence{{ID: "abcdefgh", What: "203.0.113.9", Offender: netip.MustParseAddr("203.0.113.9"), Author: "ann", Reason: "our own scan", Until: until.AddDate(0, 0, 1), Events: 7},
			{ID: "ijklmnop", What: "203.0.113.12", Offender: netip.MustParseAddr("203.0.113.12"), Author: hostile, Reason: hostile, Until: until}},
		Findings: []observe.Finding{{Check: "disk", State: observe.Warning, Text: "nearly full"}, {Check: "loss"}}}
}

func made(t *testing.T, s *store, o Options) *Report {
	t.Helper()
	r, err := Make(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func printed(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestText: the parts come in the order in which they matter, a week that was not seen in full
// comes first, and each line fits.
func TestText(t *testing.T) {
	out := printed(t, made(t, week(), options()))
	last := -1
	for _, part := range []string{
		"flowsnitch report of pi-", "2026-11-23 00:00 to 2026-11-30 00:00 UTC (7 days)",
		"IS IT ALIVE", "PARTLY BLIND: of 168 hours nothing is known of 10, 3 had no flow.", "2026-11-24 16:00 to 2026-11-25 02:00: nothing is known",
		"2026-11-27 04:00 to 2026-11-27 07:00: no flow", "3 hours, last 2026-11-27 06:00: router edge-1 is silent", "now warning, disk: nearly full",
		"WHAT NEEDS SOMEBODY", "3 incidents of severity high or critical", "critical 203.0.113.9 NL AS64500", "called by us and answered", "not named: only listings above TLP green",
		"HOSTS OF OURS", "critical 10.0.0.5 at", "worst: 203.0.113.9\n", "low 10.0.0.7",
		"NEW IN THIS PERIOD", "PERSISTENT OFFENDERS", "1 of the 3 offenders of this period had been seen before (33.3 %); they are\n", "taken by",
		"FLOWS OF EACH OFFENDER", "BUSIEST DAYS (UTC)", "COUNTRIES", "NETWORKS", "ALERTS", "own_address_listed, 2 times", "FEEDS", "SILENCED", "12 events of 1 offender of this period were kept", "203.0.113.9 until 2026-12-01 00:00 by ann: our own scan; 7 events",
	} {
		i := strings.Index(out, part)
		if i <= last {
			t.Errorf("%q is at %d, after %d, in\n%s", part, i, last, out)
		}
		last = i
	}
	for line := range strings.Lines(out) {
		if n := columns.Of(strings.TrimSuffix(line, "\n")); n > Columns {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if strings.ContainsAny(out, "\x1b\u202e\r") {
		t.Errorf("a terminal would obey %q", out)
	}
}

// TestVerdict: what is not known is never called quiet.
func TestVerdict(t *testing.T) {
	quiet := &incident.Period{}
	for _, c := range []struct {
		name, want string
		pulse      func(h int) *incident.Pulse
	}{
		{"never ran", "BLIND: nothing is known of any of the 168 hours", func(int) *incident.Pulse { return nil }},
		{"no export", "BLIND: no flow was received in any of the 168 hours", func(int) *incident.Pulse { return &incident.Pulse{Minutes: 60} }},
		{"both", "BLIND: no flow", func(h int) *incident.Pulse { return map[bool]*incident.Pulse{true: {Minutes: 60}}[h < 9] }},
		{"one hour", "PARTLY BLIND: of 168 hours nothing is known of 1.", func(h int) *incident.Pulse {
			return map[bool]*incident.Pulse{true: {Minutes: 60, Flows: 5}}[h != 9]
		}},
		{"loss", "some were lost: 168 of 336", func(int) *incident.Pulse { return &incident.Pulse{Minutes: 60, Flows: 1, Lost: 1} }},
		{"started again", "none was lost, but flowsnitch did not run for 80 minutes of 2 hours.", func(h int) *incident.Pulse { return &incident.Pulse{Minutes: 60 - 40*(h/166), Flows: 1} }},
		{"started twice", "nothing is known of 1.", func(h int) *incident.Pulse {
			return map[bool]*incident.Pulse{true: {Minutes: 20, Flows: 5}}[h != 9]
		}},
		{"all", "none was lost", func(int) *incident.Pulse { return &incident.Pulse{Minutes: 59, Flows: 1} }},
	} {
		p := *quiet
		for h := range 168 {
			if pulse := c.pulse(h); pulse != nil {
				p.Pulses = append(p.Pulses, incident.HourPulse{Hour: from.Add(time.Duration(h) * time.Hour), Pulse: *pulse})
			}
		}
		a := aliveIn(&p, options())
		if got := a.verdict(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		if a.Good() != (c.name == "all") {
			t.Errorf("%s: good %v", c.name, a.Good())
		}
	}
}

// TestBegun: hours that are yet to come are no gap.
func TestBegun(t *testing.T) {
	o := options()
	o.Now = from.Add(90 * time.Minute)
	a := aliveIn(&incident.Period{Pulses: []incident.HourPulse{{Hour: from, Pulse: incident.Pulse{Minutes: 60, Flows: 1}}, {Hour: from.Add(time.Hour), Pulse: incident.Pulse{Minutes: 29, Flows: 1}}}}, o)
	if a.Hours != 2 || !a.Good() {
		t.Errorf("%+v", a)
	}
	o.Now = from.Add(time.Hour + time.Minute) // nothing has been written of the second hour yet
	first := &incident.Period{Pulses: []incident.HourPulse{{Hour: from, Pulse: incident.Pulse{Minutes: 60, Flows: 1}}}}
	if a := aliveIn(first, o); a.Hours != 1 || !a.Good() {
		t.Errorf("%+v", a)
	}
	if o.Findings = nil; aliveIn(first, o).Unknown != 1 {
		t.Error("no instance runs, and its hour is left out")
	}
}

// TestManyGaps: of many gaps the longest are named.
func TestManyGaps(t *testing.T) {
	p := &incident.Period{}
	for h := range 168 {
		if h%4 != 0 && (h < 100 || h > 110) {
			p.Pulses = append(p.Pulses, incident.HourPulse{Hour: from.Add(time.Duration(h) * time.Hour), Pulse: incident.Pulse{Flows: 1}})
		}
	}
	a := aliveIn(p, options())
	long := slices.IndexFunc(a.Gaps, func(g Gap) bool { return g.Until.Sub(g.From) > 10*time.Hour })
	if len(a.Gaps) != maxTexts || a.MoreGaps == 0 || long < 0 {
		t.Errorf("%+v", a)
	}
}

// TestTLP: what only restricted listings know is in no form, and what others know as well is
// there without them.
func TestTLP(t *testing.T) {
	for _, most := range TLPs {
		o := options()
		o.MaxTLP = most
		r := made(t, week(), o)
		var all bytes.Buffer
		all.WriteString(printed(t, r))
		for _, write := range []func(io.Writer) error{r.HTML, r.JSON} {
			if err := write(&all); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Tables(func(string) (io.WriteCloser, error) { return nop{&all}, nil }); err != nil {
			t.Fatal(err)
		}
		amber, red := slices.Index(TLPs, most) >= 2, most == "red"
		if strings.Contains(all.String(), "198.51.100.7 is listed by secret") != red {
			t.Errorf("max_tlp %s: the alert of a listing of TLP red is shown: %v", most, !red)
		}
		if strings.Contains(all.String(), "203.0.113.12") != amber {
			t.Errorf("max_tlp %s: what only TLP amber knows is shown: %v", most, !amber)
		}
		if strings.Contains(strings.ReplaceAll(all.String(), "c2 listed by secret (95)\n", ""), "secret (95), feodo") != red {
			t.Errorf("max_tlp %s: a reason of TLP red is shown: %v", most, !red)
		}
		if (r.Withheld > 0) == amber {
			t.Errorf("max_tlp %s: %d withheld", most, r.Withheld)
		}
	}
}

type nop struct{ io.Writer }

func (nop) Close() error { return nil }

// TestRows: rows that may not be shown make room for the next ones, those that are forgotten
// meanwhile or were not there in the period are left out, and what waits for longer is counted.
func TestRows(t *testing.T) {
	s := &store{period: incident.Period{Offenders: 60, New: 40, Known: 20}}
	add := func(n int, first, last time.Time, tlp string) *incident.Incident {
		s.rows = append(s.rows, incident.Incident{Offender: netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), Worst: event.High, First: first, Last: last,
			Listings: []incident.Listing{{Feed: "f", TLP: tlp}}})
		return &s.rows[len(s.rows)-1]
	}
	for n := range 40 {
		add(n, from.Add(time.Hour), from.Add(2*time.Hour), []string{"amber", "clear"}[n/30])
	}
	for n := range 30 {
		i := add(100+n, from.AddDate(0, 0, -9), until.Add(time.Hour), "")
		if n < 10 {
			i.Daily = []incident.Day{{Day: incident.DayOf(i.First)}, {Day: incident.DayOf(i.Last)}}
		}
	}
	for n := range 3 {
		add(200+n, from.AddDate(0, 0, -9), from.AddDate(0, 0, -8), "")
	}
	s.gone = []netip.Addr{netip.MustParseAddr("203.0.113.31")}
	r := made(t, s, options())
	if len(r.New.Rows) != 9 || r.New.Withheld != 30 || r.New.Total != 40 || r.Withheld != 30 {
		t.Errorf("new: %d rows, %d withheld of %d; %d in all", len(r.New.Rows), r.New.Withheld, r.New.Total, r.Withheld)
	}
	if len(r.Persistent.Rows) != MaxRows || r.Persistent.Rows[0].Offender.String() != "203.0.113.110" || r.Persistent.Total != 20 || r.Persistent.rest() != 0 {
		t.Errorf("persistent: %d rows from %v, of %d", len(r.Persistent.Rows), r.Persistent.Rows[0].Offender, r.Persistent.Total)
	}
	if out := printed(t, r); r.Older != 3 || !strings.Contains(out, "3 older ones from before this period wait as well") {
		t.Errorf("%d older ones, %s", r.Older, out)
	}
}

// TestColumns: no line has more than 80 columns, whatever words and numbers there are.
func TestColumns(t *testing.T) {
	for _, word := range []string{strings.Repeat("x", 300), strings.Repeat("漢字", 100), strings.Repeat("e\u0301", 200), strings.Repeat("wide 漢 ", 50), ""} {
		s := week()
		s.rows[0].Reason, s.rows[0].ASName, s.rows[0].Flows = word, word, math.MaxUint64
		s.hosts[0].Site, s.period.Feeds[0].Feed, s.period.Alerts[0].Name = word, word, word
		s.period.Networks[0].ASName, s.period.Networks[0].Flows = word, math.MaxInt64
		s.period.Days[0].Flows, s.period.Days[0].Offenders = math.MaxUint64, math.MaxInt32
		o := options()
		o.Sensor, o.Until = word, until.Add(-time.Minute)
		o.Findings[0].Text, o.Silences[0].Reason, o.Silences[0].What = word, word, word
		out := printed(t, made(t, s, o))
		for line := range strings.Lines(out) {
			if n := columns.Of(strings.TrimSuffix(line, "\n")); n > Columns {
				t.Errorf("%d columns: %q", n, line)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(out), " "), "the days that it cuts count whole") {
			t.Errorf("nothing is said of days that are cut:\n%s", out)
		}
	}
}

// TestHTML: one file without requests, and foreign text stays text.
func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := made(t, week(), options()).HTML(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, bad := range []string{"<script", "http://", "https://", "src=", "url(", "@import", "\x1b", "\u202e", "ZgotmplZ"} {
		if strings.Contains(out, bad) {
			t.Errorf("%q in the page", bad)
		}
	}
	for _, want := range []string{"PARTLY BLIND", "&lt;script&gt;", `class="verdict bad"`, "203.0.113.9", "10.0.0.5"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

// TestTables: each table is CSV with as many cells in each row, none of them a formula.
func TestTables(t *testing.T) {
	o := options()
	o.Count = func(context.Context, AttackedService, time.Time, time.Time) (*Attempts, error) {
		return &Attempts{Tries: 1, Sources: 1, Days: []TryDay{{"2026-11-24", 1}}, Histogram: []TryBar{{1, 1}}}, nil
	}
	r := made(t, week(), o)
	files := map[string]*bytes.Buffer{}
	if err := r.Tables(func(name string) (io.WriteCloser, error) {
		files[name] = new(bytes.Buffer)
		return nop{files[name]}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		rows, err := csv.NewReader(b).ReadAll()
		if err != nil || len(rows) < 2 && name != "persistent.csv" {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("%s: %q", name, cell)
				}
			}
		}
	}
	full := func(string) (io.WriteCloser, error) { return nil, errors.New("disk full") }
	if err := r.Tables(full); err == nil || !strings.Contains(err.Error(), "summary.csv: disk full") {
		t.Errorf("error %v", err)
	}
}

// TestJSON: what is written is read again.
func TestJSON(t *testing.T) {
	r := made(t, week(), options())
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Report
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&again); err != nil {
		t.Fatal(err)
	}
	if again.Attention.Rows[0].Offender != r.Attention.Rows[0].Offender || again.Figures.Offenders != 3 || again.Alive.Unknown != 10 {
		t.Errorf("%+v", again)
	}
}

// TestMakeFails: an error of the store at any call is that of the report.
func TestMakeFails(t *testing.T) {
	for n := range 6 {
		s := week()
		s.fails, s.failures = errors.New("locked"), n
		if r, err := Make(t.Context(), s, options()); err == nil || r != nil {
			t.Errorf("call %d: %v, error %v", n, r, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Until = o.From },
		func(o *Options) { o.From = o.Until.Add(-MaxPeriod - 1) },
		func(o *Options) { o.MaxTLP = "white" },
	} {
		o := options()
		if change(&o); o.Validate() == nil {
			t.Errorf("%+v is allowed", o)
		}
	}
}

// TestEmpty: a store that knows nothing gives a report that says so in every part.
func TestEmpty(t *testing.T) {
	o := options()
	o.Findings = nil
	out := printed(t, made(t, &store{}, o))
	for _, want := range []string{"BLIND", "no running instance", "No incident of severity", "None had contact", "No offender was seen", "Nothing of this period was silenced.", "None was raised.", "None has listed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
