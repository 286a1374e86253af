package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// screen shows a status, and what came since the one before, d earlier, for a terminal of
// so many columns; 0 = there is no end. With d = 0 there are no rates.
func screen(last, s *app.Status, d time.Duration, columns int) []section {
	v := interval{last, s, d, time.Now()}
	return slices.Concat(
		[]section{v.title(columns), v.troubles(columns)}, v.traffic(columns),
		[]section{v.refused(columns), v.contacts(columns), v.exporters(columns), v.sinks(columns), v.feeds(columns)})
}

// away is shown while the instance does not answer.
func away(err error) []section {
	return []section{{heading: line{{"no answer: " + err.Error(), alarm}}}, {heading: plain("waiting for the instance; q or Ctrl-C ends this")}}
}

// An interval is two statuses and the time between them.
type interval struct {
	last, now *app.Status
	d         time.Duration // 0 = there are no rates
	at        time.Time     // now, for ages
}

// rate prints how fast a counter goes up.
func (v *interval) rate(now, before uint64) string {
	if v.d <= 0 {
		return "-"
	}
	return perSecond(float64(now-min(now, before)) / v.d.Seconds())
}

func (v *interval) title(columns int) section {
	s, rest := v.now, ""
	bad := 0 // counted here: the rows below may have no room for all of them
	for _, f := range s.Health {
		if f.State != observe.OK {
			bad++
		}
	}
	if bad > 1 {
		rest = fmt.Sprintf("  %d checks not OK", bad)
	}
	if columns > 0 {
		rest += "  q quits"
	}
	return section{heading: line{{"flowsnitch " + s.Version, strong}, {fmt.Sprintf("  %s  up %s  %d indicators", s.Name, brief(v.at.Sub(s.Since)), s.Intel.Indicators) + rest, normal}}}
}

// troubleRows is how many rows the text of one check takes at most.
const troubleRows = 3

// troubles are the checks that are not OK, the worst first.
func (v *interval) troubles(columns int) section {
	out := section{share: 2}
	for _, state := range []observe.State{observe.Critical, observe.Warning} {
		look := caution
		if state == observe.Critical {
			look = alarm
		}
		for _, f := range v.now.Health {
			if f.State != state {
				continue
			}
			name := fmt.Sprintf("%-9s", f.State)
			all := fmt.Sprintf("%s %-9s %s", name, f.Check, show.Printable(f.Text))
			parts := []string{all}
			if columns > 0 {
				parts = show.WrapLine(all, columns, len(name)+11)
			}
			if len(parts) > troubleRows {
				parts = parts[:troubleRows]
				parts[troubleRows-1] += " …"
			}
			for i, p := range parts {
				row := plain(p)
				if i == 0 {
					row = line{{name, look}, {strings.TrimPrefix(p, name), normal}}
				}
				out.rows = append(out.rows, row)
			}
		}
	}
	if len(out.rows) == 0 && len(v.now.Health) > 0 {
		out.rows = []line{plainf("all %d checks OK%s", len(v.now.Health), v.selfTest())}
	}
	return out
}

// selfTest returns when a canary last came to the correlator.
func (v *interval) selfTest() string {
	c := &v.now.Canary
	if c.EverySeconds <= 0 || c.LastSeen.IsZero() {
		return ""
	}
	return fmt.Sprintf(", self-test %s ago", v.age(c.LastSeen))
}

// traffic is what comes in by protocol, and what is lost, side by side where there is room.
func (v *interval) traffic(columns int) []section {
	rates := table{columns: []column{
		{heading: "protocol", min: 9, max: 9}, {heading: "datagrams/s", right: true, min: 11, rank: 1}, {heading: "flows/s", right: true, min: 7},
		{heading: "since " + v.since(v.now.Since), right: true, min: 11},
	}}
	add := func(name, datagrams, flows string, all uint64) {
		rates.rows = append(rates.rows, []line{plain(name), plain(datagrams), plain(flows), plainf("%d", all)})
	}
	for _, name := range []string{"v5", "v9", "ipfix", "sflow"} {
		n, o := v.now.Decoded.Versions[name], v.last.Decoded.Versions[name]
		if n.Datagrams > 0 {
			add(name, v.rate(n.Datagrams, o.Datagrams), v.rate(n.Records, o.Records), n.Records)
		}
	}
	add("hits", "", v.rate(v.now.Hits.Found, v.last.Hits.Found), v.now.Hits.Found)
	if columns > 0 && columns < wide {
		left := section{rank: 3, whole: true}
		left.heading, left.rows = rates.lay(columns)
		return []section{v.losses(columns), left}
	}
	left := section{}
	left.heading, left.rows = rates.lay(0)
	return []section{beside(left, v.losses(wide-trafficWidth-len(between)))}
}

// wide is what traffic and losses need side by side: trafficWidth and the rest.
const (
	wide         = 80
	trafficWidth = 44
	between      = " | "
)

// losses are the kinds of loss that there were; in one row when there were none.
func (v *interval) losses(columns int) section {
	since := "since " + v.since(v.now.Since)
	t := table{columns: []column{{heading: "losses", min: 13, max: 30}, {heading: "per s", right: true, min: 5}, {heading: since, right: true, min: 11}}}
	before := make(map[string]uint64)
	for _, l := range losses(v.last) {
		before[l.name] = l.n
	}
	for _, l := range losses(v.now) {
		if l.n > 0 {
			t.rows = append(t.rows, []line{{{l.name, caution}}, plain(v.rate(l.n, before[l.name])), plainf("%d", l.n)})
		}
	}
	if len(t.rows) == 0 {
		return section{heading: line{{"losses", strong}, {": none " + since, normal}}}
	}
	out := section{label: "losses"}
	out.heading, out.rows = t.lay(columns)
	return out
}

// beside puts two sections side by side.
func beside(left, right section) section {
	join := func(l, r line) line {
		out := append(slices.Clone(l), piece{strings.Repeat(" ", max(0, trafficWidth-l.width())) + between, normal})
		return append(out, r...)
	}
	out := section{heading: join(left.heading, right.heading), whole: true, rank: 3}
	for i := range max(len(left.rows), len(right.rows)) {
		var l, r line
		if i < len(left.rows) {
			l = left.rows[i]
		}
		if i < len(right.rows) {
			r = right.rows[i]
		}
		out.rows = append(out.rows, join(l, r))
	}
	return out
}

// A loss is one kind of loss and its number.
type loss struct {
	name string
	n    uint64
}

// losses adds up the losses of an instance by kind. The section is named only where others
// use the same words.
func losses(s *app.Status) (list []loss) {
	first := make(map[string]string) // the section that uses these words first
	for i := range s.Losses {
		l := &s.Losses[i]
		name := l.Words
		if first[name] == "" {
			first[name] = l.Section
		} else if first[name] != l.Section {
			name += ", " + l.Section
		}
		at := slices.IndexFunc(list, func(k loss) bool { return k.name == name })
		if at < 0 {
			list, at = append(list, loss{name: name}), len(list)
		}
		list[at].n += uint64(max(l.Value, 0))
	}
	return list
}

// refused are the senders that are not allowed, if there are any.
func (v *interval) refused(columns int) section {
	t := table{columns: []column{{heading: "refused sender", min: 24, max: 39}, {heading: "datagrams", right: true, min: 9}, {heading: "last", right: true, min: 6}, {heading: "if it is yours", min: 20, max: 60, rank: 1}}}
	for i := range v.now.Listeners {
		l := &v.now.Listeners[i]
		for _, r := range l.RefusedSenders {
			t.rows = append(t.rows, []line{plain(r.Address.String()), plainf("%d", r.Datagrams), plain(v.age(r.Last)), plain("add it to 'allow' of udp " + l.Listen)})
		}
	}
	if len(t.rows) == 0 {
		return section{}
	}
	out := section{label: "refused sender", rank: 1}
	out.heading, out.rows = t.lay(columns)
	return out
}

// contacts are those that changed last, the latest first: our end on the left, the listed
// address on the right, and alerts between them.
func (v *interval) contacts(columns int) section {
	t := table{columns: []column{
		{heading: "severity", min: 8}, {heading: "changed", min: 8, rank: 2}, {heading: "contact", min: 40, max: 80},
		{heading: "flows", right: true, min: 7, rank: 3}, {heading: "listed by", min: 9, max: 30, rank: 4},
		{heading: "answered", min: 8, rank: 5}, {heading: "bytes", right: true, min: 9, rank: 6}, {heading: "first seen", min: 10, rank: 7},
		{heading: "exporter", min: 10, max: 20, rank: 8}, {heading: "reason", min: 38, max: 200, rank: 9},
	}}
	for i := range v.now.Latest {
		c := &v.now.Latest[i]
		look := normal
		switch c.Severity {
		case event.Critical.String(), event.High.String():
			look = alarm
		case event.Medium.String():
			look = caution
		}
		row := []line{
			{{c.Severity, look}}, plain(v.clock(c.Time)), ends(c), plain(""), plain(strings.Join(c.Feeds, ", ")),
			plain(answered(c)), plain(""), plain(""), plain(c.Exporter), plain(c.Reason),
		}
		if c.Kind != event.KindAlert {
			row[3], row[6], row[7] = plainf("%d", c.Flows), plain(observe.Size(c.Bytes)), plain(v.clock(c.FirstSeen))
		}
		t.rows = append(t.rows, row)
	}
	out := section{label: "contact", share: 2, hidden: func(from int) string {
		n := 0
		for _, c := range v.now.Latest[from:] {
			if c.Severity == event.Critical.String() {
				n++
			}
		}
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(", %d critical", n)
	}}
	out.heading, out.rows = t.lay(columns)
	if len(t.rows) == 0 {
		out.rows = []line{plain("no contact with a listed address since the start")}
	}
	return out
}

// ends shows the two ends of a contact, with the arrow from who began it: to the right is
// from us outward.
func ends(c *app.LatestStatus) line {
	if c.Kind == event.KindAlert {
		l := line{{"ALERT ", strong}, {c.Alert + " ", normal}}
		if c.Offender.IsValid() {
			l = append(l, piece{c.Offender.String() + " ", strong})
		}
		return append(l, piece{c.Reason, normal})
	}
	outward := c.Role != "src" && c.Role != "nat_src" && c.Role != "inner_src"
	switch c.Direction {
	case event.Outbound:
		outward = true
	case event.Inbound:
		outward = false
	}
	arrow := " <- "
	if outward {
		arrow = " -> "
	}
	ours, theirs := end(c.Local, 0), end(c.Offender, c.ServicePort)
	if c.ServiceLocal {
		ours, theirs = end(c.Local, c.ServicePort), end(c.Offender, 0)
	}
	if c.Folded && (c.Hosts > 1 || !c.Local.IsValid()) {
		ours = fmt.Sprintf("%d hosts", c.Hosts)
	}
	if c.Folded && c.Ports > 1 {
		ours += fmt.Sprintf(", %d ports", c.Ports)
	}
	if c.Site != "" {
		ours += " at " + c.Site
	}
	rest := ""
	if c.Protocol != "" {
		rest = " " + c.Protocol
	}
	if c.Direction == event.Transit || c.Direction == event.Internal {
		rest += " " + string(c.Direction)
	}
	return line{{ours + arrow, normal}, {theirs, strong}, {rest, normal}}
}

// end prints an address, with its port if it has one.
func end(a netip.Addr, port uint16) string {
	switch {
	case !a.IsValid():
		return "?"
	case port == 0:
		return a.WithZone("").String()
	}
	return netip.AddrPortFrom(a.WithZone(""), port).String()
}

// answered is a word for what became of a contact.
func answered(c *app.LatestStatus) string {
	switch {
	case c.Blocked:
		return "blocked"
	case c.Refused:
		return "refused"
	}
	return string(c.Answered)
}

// exporters are their streams, but for those of the self-test.
func (v *interval) exporters(columns int) section {
	t := table{columns: []column{
		{heading: "exporter", min: 26, max: 60}, {heading: "proto", min: 5, rank: 3}, {heading: "flows/s", right: true, min: 9},
		{heading: "lost", right: true, min: 8, rank: 1}, {heading: "sampling", right: true, min: 9, rank: 2}, {heading: "last", right: true, min: 5, rank: 4},
		{heading: "datagrams/s", right: true, min: 11, rank: 5}, {heading: "flows", right: true, min: 13, rank: 6}, {heading: "templates", right: true, min: 9, rank: 7},
		{heading: "missing", right: true, min: 7, rank: 8}, {heading: "restarts", right: true, min: 8, rank: 9},
	}}
	for i := range v.now.Exporters.List {
		e := &v.now.Exporters.List[i]
		for j := range e.Streams {
			st := &e.Streams[j]
			if canary.IsDomain(st.Version, st.Domain) {
				continue
			}
			name := app.ExporterName(e)
			if st.Domain != 0 {
				name += fmt.Sprintf(" domain %d", st.Domain)
			}
			before := streamBefore(v.last, e, st)
			t.rows = append(t.rows, []line{
				plain(name), plain(st.Version), plain(v.rate(st.Records, before.Records)), lossOf(st.Lost), plain(samplingOf(st)), plain(v.age(st.LastSeen)),
				plain(v.rate(st.Datagrams, before.Datagrams)), plainf("%d", st.Records), plainf("%d", st.Templates), plainf("%d", len(st.Missing)), plainf("%d", st.Resets),
			})
		}
	}
	out := section{label: "exporter", rank: 2}
	out.heading, out.rows = t.lay(columns)
	if len(t.rows) == 0 {
		out.rows = []line{plain("no export yet")}
	}
	return out
}

// lossOf prints a counter of losses so that one that is not zero is seen.
func lossOf(n uint64) line {
	if n == 0 {
		return plain("0")
	}
	return line{{fmt.Sprint(n), caution}}
}

// samplingOf prints the rate of a stream, of the first sampler when there are several.
func samplingOf(st *decode.StreamStatus) string {
	if len(st.Sampling) == 0 {
		return "unknown"
	}
	rate := fmt.Sprintf("1:%d", st.Sampling[0].Rate)
	if st.Sampling[0].Rate == 0 {
		rate = "invalid"
	}
	if n := len(st.Sampling) - 1; n > 0 {
		rate += fmt.Sprintf(" +%d", n)
	}
	return rate
}

// streamBefore finds a stream as it was in the round before.
func streamBefore(last *app.Status, e *decode.ExporterStatus, st *decode.StreamStatus) decode.StreamStatus {
	for i := range last.Exporters.List {
		if last.Exporters.List[i].Address != e.Address {
			continue
		}
		for j := range last.Exporters.List[i].Streams {
			o := &last.Exporters.List[i].Streams[j]
			if o.Version == st.Version && o.Domain == st.Domain && o.Port == st.Port {
				return *o
			}
		}
	}
	return decode.StreamStatus{}
}

// sinks are the ways out, and how long ago the self-test was delivered there.
func (v *interval) sinks(columns int) section {
	t := table{columns: []column{
		{heading: "sink", min: 22, max: 60, middle: true}, {heading: "sent", right: true, min: 9}, {heading: "waiting", right: true, min: 7, rank: 1},
		{heading: "lost", right: true, min: 7}, {heading: "self-test", right: true, min: 9, rank: 3}, {heading: "since", right: true, min: 11, rank: 2},
		{heading: "last error", min: 20, max: 200, rank: 4},
	}}
	for i := range v.now.Sinks {
		k := &v.now.Sinks[i]
		at := "-"
		if c, ok := v.now.Canary.Sinks[k.Name]; ok && v.now.Canary.EverySeconds > 0 && v.now.Canary.Sent > 0 {
			at = v.age(c.Last)
		}
		since := "unknown"
		if !k.Since.IsZero() {
			since = k.Since.Local().Format("01-02 15:04")
		}
		problem := line{{"", normal}}
		if k.Failing {
			problem = line{{k.LastError, alarm}}
		}
		t.rows = append(t.rows, []line{plain(k.Name), plainf("%d", k.Sent), plainf("%d", k.Pending), lossOf(k.Dropped + k.Failed), plain(at), plain(since), problem})
	}
	out := section{label: "sink", rank: 4}
	out.heading, out.rows = t.lay(columns)
	return out
}

// feeds are what is listed, and how fresh that is.
func (v *interval) feeds(columns int) section {
	t := table{columns: []column{
		{heading: "feed", min: 22, max: 40, middle: true}, {heading: "entries", right: true, min: 9}, {heading: "confirmed", right: true, min: 9, rank: 1},
		{heading: "hits/day", right: true, min: 8, rank: 2}, {heading: "note", min: 20, max: 200, rank: 3},
	}}
	for i := range v.now.Intel.Feeds {
		f := &v.now.Intel.Feeds[i]
		note, confirmed := plain(""), "never"
		if !f.Taken.IsZero() {
			confirmed = brief(f.Age(v.at))
		}
		switch {
		case f.Held != "":
			note = line{{"held back: " + f.Held, caution}}
		case f.Failures > 0:
			note = line{{f.Error, caution}}
		}
		t.rows = append(t.rows, []line{plain(f.Name), plainf("%d", f.Entries), plain(confirmed), plainf("%d", v.now.Intel.HitsDay[f.Name]), note})
	}
	out := section{label: "feed", rank: 5}
	out.heading, out.rows = t.lay(columns)
	if len(t.rows) == 0 {
		out.rows = []line{plain("no feeds")}
	}
	return out
}

// shorten cuts the middle out of a name that is too long: its ends matter most.
func shorten(name string, most int) string {
	r := []rune(show.Printable(name))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most/2-1]) + "…" + string(r[len(r)-(most-most/2):])
}

// clock prints a time of today, or the date of another day, in eight columns.
func (v *interval) clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if today := v.at.Local().Format(time.DateOnly); t.Local().Format(time.DateOnly) != today {
		return t.Local().Format("01-02")
	}
	return t.Local().Format(time.TimeOnly)
}

// since prints when counters began, in five columns.
func (v *interval) since(t time.Time) string { return v.clock(t)[:min(5, len(v.clock(t)))] }

// age prints how long ago something was.
func (v *interval) age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return brief(v.at.Sub(t))
}

// brief prints a duration in a few characters.
func brief(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// perSecond prints a rate for people.
func perSecond(f float64) string {
	switch {
	case f >= 10e6:
		return fmt.Sprintf("%.1f M", f/1e6)
	case f >= 10e3:
		return fmt.Sprintf("%.1f k", f/1e3)
	}
	return fmt.Sprintf("%.1f", f)
}
