package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A section is a part of the screen: a heading, which may be empty, and rows. Of a section
// that is not whole the last rows are left out when there is no room.
type section struct {
	heading string
	rows    []string
	whole   bool
}

// screen says what came between two statuses that are d apart, for a terminal of so many
// columns; 0 = there is no end.
func screen(last, s *app.Status, d time.Duration, columns int) []section {
	since := interval{last, s, d}
	list := []section{
		{heading: fmt.Sprintf("flowsnitch %s  %s  up %s  %d indicators", s.Version, printable(s.Name), time.Since(s.Since).Round(time.Second), s.Intel.Indicators)},
		troubles(s),
	}
	if columns > 0 && columns < wide {
		list = append(list, since.rates(), since.losses())
	} else {
		list = append(list, beside(since.rates(), since.losses()))
	}
	return append(list, since.exporters(), outputs(s), sources(s), recent(s))
}

// wide is what rates and losses need side by side.
const wide = 79

// away is shown while the instance does not answer.
func away(err error) []section {
	return []section{{heading: "no answer: " + err.Error()}, {heading: "waiting for the instance; Ctrl-C ends this"}}
}

// troubles are the checks that are not well, the worst first.
func troubles(s *app.Status) section {
	var rows []string
	for _, state := range []app.State{app.Critical, app.Warning} {
		for _, f := range s.Health {
			if f.State == state {
				rows = append(rows, fmt.Sprintf("%-8s %-9s %s", f.State, f.Check, f.Text))
			}
		}
	}
	return section{rows: rows}
}

// An interval is two statuses and the time between them.
type interval struct {
	last, now *app.Status
	d         time.Duration
}

// rate prints how fast a counter goes up.
func (v interval) rate(now, before uint64) string {
	return perSecond(float64(now-min(now, before)) / v.d.Seconds())
}

// rates are what comes in by protocol, and what of it are hits.
func (v interval) rates() section {
	out := section{heading: fmt.Sprintf("%-6s %9s %9s %12s", "", "datagr./s", "flows/s", "flows")}
	out.rows = append(out.rows, fmt.Sprintf("%-6s %9s %9s %12d", "hits", "", v.rate(v.now.Hits.Found, v.last.Hits.Found), v.now.Hits.Found))
	for _, name := range []string{"v5", "v9", "ipfix", "sflow"} {
		n, o := v.now.Decoded.Versions[name], v.last.Decoded.Versions[name]
		if n.Datagrams > 0 {
			out.rows = append(out.rows, fmt.Sprintf("%-6s %9s %9s %12d", name, v.rate(n.Datagrams, o.Datagrams), v.rate(n.Records, o.Records), n.Records))
		}
	}
	return out
}

// losses are what did not get through, by kind.
func (v interval) losses() section {
	out := section{heading: fmt.Sprintf("%-18s %8s %9s", "losses", "per s", "in all")}
	for _, l := range losses() {
		out.rows = append(out.rows, fmt.Sprintf("%-18s %8s %9d", l.name, v.rate(l.n(v.now), l.n(v.last)), l.n(v.now)))
	}
	return out
}

// beside puts two sections side by side.
func beside(left, right section) section {
	out := section{heading: fmt.Sprintf("%-39s | %s", left.heading, right.heading), whole: true}
	for i := range max(len(left.rows), len(right.rows)) {
		l, r := "", ""
		if i < len(left.rows) {
			l = left.rows[i]
		}
		if i < len(right.rows) {
			r = right.rows[i]
		}
		out.rows = append(out.rows, fmt.Sprintf("%-39s | %s", l, r))
	}
	return out
}

// A loss is one kind of loss and its number.
type loss struct {
	name string
	n    func(*app.Status) uint64
}

// losses are the kinds that are always shown: a zero is news, too.
func losses() []loss {
	return []loss{
		{"dropped by kernel", func(s *app.Status) (n uint64) {
			for _, l := range s.Listeners {
				n += l.KernelDrops
			}
			return n
		}},
		{"refused senders", func(s *app.Status) (n uint64) {
			for _, l := range s.Listeners {
				n += l.Refused
			}
			return n
		}},
		{"gaps: flows", func(s *app.Status) uint64 { return s.Exporters.Lost.Flows + s.Exporters.Lost.Records }},
		{"gaps: datagrams", func(s *app.Status) uint64 { return s.Exporters.Lost.Datagrams }},
		{"sets, no template", func(s *app.Status) uint64 {
			return s.Decoded.UnknownSets - min(s.Decoded.UnknownSets, s.Exporters.Early.Replayed)
		}},
		{"undecodable", func(s *app.Status) (n uint64) {
			for _, v := range s.Decoded.Problems {
				n += v
			}
			return n
		}},
		{"hits, full queue", func(s *app.Status) uint64 { return s.Hits.HitQueueFull }},
	}
}

// exporters are their streams, but for those of the self-test.
func (v interval) exporters() section {
	out := section{heading: fmt.Sprintf("%-39s %-5s %10s %10s %7s", "exporter", "", "flows/s", "lost", "silent")}
	for i := range v.now.Exporters.List {
		e := &v.now.Exporters.List[i]
		for j := range e.Streams {
			st := &e.Streams[j]
			if canary.IsDomain(st.Version, st.Domain) {
				continue
			}
			name := fmt.Sprintf("%s domain %d", e.Address, st.Domain)
			out.rows = append(out.rows, fmt.Sprintf("%-39s %-5s %10s %10d %7s", name, st.Version, v.rate(st.Records, before(v.last, e, st)), st.Lost, age(st.LastSeen)))
		}
	}
	return out
}

// before finds what a stream had counted in the round before.
func before(last *app.Status, e *decode.ExporterStatus, st *decode.StreamStatus) uint64 {
	for i := range last.Exporters.List {
		if last.Exporters.List[i].Address != e.Address {
			continue
		}
		for j := range last.Exporters.List[i].Streams {
			o := &last.Exporters.List[i].Streams[j]
			if o.Version == st.Version && o.Domain == st.Domain && o.Port == st.Port {
				return o.Records
			}
		}
	}
	return 0
}

// outputs are the sinks, and how long ago the self-test was delivered there.
func outputs(s *app.Status) section {
	out := section{heading: fmt.Sprintf("%-39s %10s %9s %9s %9s", "sink", "sent", "waiting", "lost", "self-test")}
	for _, k := range s.Sinks {
		at := "-"
		if c, ok := s.Canary.Sinks[k.Name]; ok && s.Canary.EverySeconds > 0 {
			at = age(c.Last)
		}
		out.rows = append(out.rows, fmt.Sprintf("%-39s %10d %9d %9d %9s", shorten(k.Name, 39), k.Sent, k.Pending, k.Dropped+k.Failed, at))
	}
	return out
}

// sources are the feeds: what is listed, and how fresh that is.
func sources(s *app.Status) section {
	out := section{heading: fmt.Sprintf("%-39s %10s %9s  %s", "feed", "entries", "confirmed", "")}
	now := time.Now()
	for i := range s.Intel.Feeds {
		f := &s.Intel.Feeds[i]
		note, confirmed := "", "never"
		if d := f.Age(now); !f.Taken.IsZero() {
			confirmed = brief(d)
		}
		switch {
		case f.Held != "":
			note = "held back: " + f.Held
		case f.Failures > 0:
			note = f.Error
		}
		out.rows = append(out.rows, fmt.Sprintf("%-39s %10d %9s  %s", shorten(f.Name, 39), f.Entries, confirmed, note))
	}
	return out
}

// recent are the last hits, the latest first, without their date.
func recent(s *app.Status) section {
	out := section{heading: "last hits"}
	for _, e := range s.Recent {
		_, text, _ := strings.Cut(e.Text, " ")
		out.rows = append(out.rows, text)
	}
	return out
}

// shorten cuts the middle out of a name that is too long: its ends tell most.
func shorten(name string, most int) string {
	r := []rune(printable(name))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most/2-1]) + "…" + string(r[len(r)-(most-most/2):])
}

// age prints how long ago something was.
func age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return brief(time.Since(t))
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
