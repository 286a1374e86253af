package app

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A silentExporter is how long an exporter has been silent, and how long it may be.
type silentExporter struct {
	name         string
	pause, limit time.Duration
}

// An exporterCheck looks for exporters that are silent, for losses on the way from them, and
// for data that cannot be decoded.
type exporterCheck struct {
	limits    configs.Health
	named     []sites.Exporter // by the configuration
	caps      decode.Limits
	exporters func() ExporterStatus // with all of them
	decoded   func() DecodeStatus
	since     func() time.Time // when the instance started

	habits map[netip.Addr]habit
	quiet  map[netip.Addr]time.Duration // how long each exporter was silent at the last look
	past   observe.History[exporterLook]
}

// An exporterLook is what a check sees. What is kept of it for later has no list.
type exporterLook struct {
	exporters ExporterStatus
	decoded   DecodeStatus
	age       time.Duration // of the instance
}

func (c *exporterCheck) checks() observe.Checks {
	return observe.Checks{Names: []string{"exporters", "loss", "templates"}, States: c.states}
}

func (c *exporterCheck) states(now time.Time) []observe.Finding {
	l := exporterLook{decoded: c.decoded(), age: now.Sub(c.since())}
	l.exporters = c.exporters() // later: a set without a template may have been decoded by then
	kept := l
	kept.exporters.List = nil
	before := c.past.Note(now, kept)
	pauses := pausesOf(l.exporters.List, l.age, now)
	c.learn(pauses, now)
	return []observe.Finding{
		c.silent(&l, &before, pauses, now).Finding, c.lost(&l, &before).Finding, c.templates(&l, &before).Finding,
	}
}

// silent looks for exporters that are silent for longer than they usually are, or than they
// may be by the configuration.
func (c *exporterCheck) silent(l, before *exporterLook, pauses map[netip.Addr]time.Duration, now time.Time) finding {
	f := finding{observe.Finding{Check: "exporters", Unit: "s"}}
	all := c.all(l.exporters.List, pauses, l.age)
	var quiet []string
	for _, e := range all {
		f.Value = max(f.Value, e.pause.Seconds())
		if e.pause <= e.limit {
			continue
		}
		f.Raise(observe.Warning)
		if e.pause > muchWorse*e.limit {
			f.Raise(observe.Critical)
		}
		quiet = append(quiet, e.name+" for "+ago(e.pause.Seconds()))
		f.AddKeys(e.name)
	}
	if len(quiet) > 0 {
		f.Add("", "silent: %s: look at the devices and the way from them, and at 'refused' in 'flowsnitch status'", named(quiet))
	}
	some := anyExport(l.exporters.List, now)
	if len(all) == 0 && !some && l.age > firstExporterWithin {
		f.Warn("", "no datagrams since the start: point the flow export of a router here, and see 'refused' in 'flowsnitch status'")
	}
	c.exporterCaps(&f, l, before)
	if len(all) > 0 {
		f.Otherwise("%d exporters, the quietest silent for %s", len(all), ago(f.Value))
	} else if some {
		f.Otherwise("no sender has been sending flows for a minute yet")
	}
	f.Otherwise("no datagrams yet")
	return f
}

// anyExport reports whether somebody has sent something but canaries within the time that
// a first exporter may take.
func anyExport(list []decode.ExporterStatus, now time.Time) bool {
	return slices.ContainsFunc(list, func(e decode.ExporterStatus) bool {
		last, ok := lastExport(&e)
		return ok && now.Sub(last) < firstExporterWithin
	})
}

// all gives the silence of each exporter that is proven or that the configuration
// names, the longest first: one stray datagram makes nobody an exporter.
func (c *exporterCheck) all(exporters []decode.ExporterStatus, pauses map[netip.Addr]time.Duration, age time.Duration) []silentExporter {
	var list []silentExporter
	isNamed := make(map[netip.Addr]bool, len(c.named))
	for _, e := range c.named {
		addr := e.Address.Unmap()
		isNamed[addr] = true
		q := silentExporter{name: addr.String(), pause: age, limit: max(firstExporterWithin, c.limits.Silence)}
		if e.Name != "" {
			q.name = fmt.Sprintf("%s (%s)", e.Name, addr)
		}
		if pause, ok := pauses[addr]; ok {
			q.pause, q.limit = pause, c.limit(addr)
		}
		q.limit = cmp.Or(e.Silence, q.limit)
		list = append(list, q)
	}
	for i := range exporters {
		e := &exporters[i]
		if pause, ok := pauses[e.Address]; ok && !isNamed[e.Address] && !e.Unproven {
			list = append(list, silentExporter{e.Address.String(), pause, c.limit(e.Address)})
		}
	}
	slices.SortStableFunc(list, func(a, b silentExporter) int { return cmp.Compare(b.pause, a.pause) })
	return list
}

// limit is how long an exporter may be silent that is known.
func (c *exporterCheck) limit(addr netip.Addr) time.Duration {
	return max(c.limits.Silence, silenceFactor*c.habits[addr].usual())
}

// pausesOf returns how long each exporter and each sFlow agent has been silent. Before the
// start nobody listened: that is not held against them.
func pausesOf(list []decode.ExporterStatus, age time.Duration, now time.Time) map[netip.Addr]time.Duration {
	pauses := make(map[netip.Addr]time.Duration, len(list))
	note := func(addr netip.Addr, last time.Time) {
		pause := min(now.Sub(last), age)
		if known, ok := pauses[addr]; !ok || pause < known {
			pauses[addr] = pause
		}
	}
	for i := range list {
		e := &list[i]
		if last, ok := lastExport(e); ok {
			note(e.Address, last)
		}
		for j := range e.Streams {
			if st := &e.Streams[j]; st.Agent != nil && !canary.IsDomain(st.Version, st.Domain) {
				note(*st.Agent, st.LastSeen)
			}
		}
	}
	return pauses
}

// learn notes the long pauses of each exporter when they are over. Exporters that are not
// listed are forgotten.
func (c *exporterCheck) learn(quiet map[netip.Addr]time.Duration, now time.Time) {
	habits := make(map[netip.Addr]habit)
	for addr, pause := range quiet {
		known := c.habits[addr].since(now.Add(-habitMemory))
		if over := c.quiet[addr]; pause < over && silenceFactor*over > c.limits.Silence {
			known = known.with(over, now)
		}
		if len(known) > 0 {
			habits[addr] = known
		}
	}
	c.habits, c.quiet = habits, quiet
}

// lastExport gives when an exporter last sent something but canaries; ok is false for one
// that sends nothing else, as the self-test does: it must not hide that nobody exports.
func lastExport(e *decode.ExporterStatus) (last time.Time, ok bool) {
	canaries := 0
	for i := range e.Streams {
		switch s := &e.Streams[i]; {
		case canary.IsDomain(s.Version, s.Domain):
			canaries++
		case s.LastSeen.After(last):
			last = s.LastSeen
		}
	}
	if canaries == 0 {
		return e.LastSeen, true
	}
	return last, canaries < len(e.Streams)
}

// lost looks for flows that did not get here, and for datagrams that cannot be decoded.
func (c *exporterCheck) lost(l, before *exporterLook) finding {
	f := newLoss()
	now, then := &l.exporters.Lost, &before.exporters.Lost
	v, old := l.decoded.Versions, before.decoded.Versions
	f.share("network", observe.Grown(now.Datagrams, then.Datagrams),
		observe.Grown(v["v9"].Datagrams+v["sflow"].Datagrams, old["v9"].Datagrams+old["sflow"].Datagrams),
		"%d datagrams lost on the way by the exporters' sequence numbers (%s %%): look at the network and at the exporters")
	f.share("network", observe.Grown(now.Flows+now.Records, then.Flows+then.Records),
		observe.Grown(v["v5"].Records+v["ipfix"].Records, old["v5"].Records+old["ipfix"].Records),
		"%d flows lost on the way by the exporters' sequence numbers (%s %%): look at the network and at the exporters")
	f.Judge()
	f.undecodable(&l.decoded, &before.decoded)
	f.jumps(now.Jumps, then.Jumps)
	f.Otherwise("nothing was lost in the last minutes")
	return f
}

// jumps reports sequence numbers that no loss explains. A few are a restart.
func (f *finding) jumps(now, before uint64) {
	if n := observe.Grown(now, before); n >= leastUndecodable {
		f.Warn("jumps", "%d sequence numbers that no loss explains: forged datagrams of an exporter ('flowsnitch status' shows which), or two devices behind one address", n)
	}
}

// undecodable reports datagrams that could not be decoded. Caps have checks of their own.
func (f *finding) undecodable(s, before *DecodeStatus) {
	var n, datagrams uint64
	var why []string
	for _, r := range decode.Reasons() {
		d := observe.Grown(s.Problems[r], before.Problems[r])
		if d == 0 || strings.HasPrefix(string(r), "cap_") || r == "template_withdrawal" {
			continue
		}
		n += d
		why = append(why, fmt.Sprintf("%s: %d", r, d))
	}
	for name, v := range s.Versions {
		datagrams += observe.Grown(v.Datagrams, before.Versions[name].Datagrams)
	}
	if n < leastUndecodable || 100*float64(n) < lossWarning*float64(n+datagrams) {
		return
	}
	f.AtLeast(observe.Warning)
	f.addFor(append([]string{"undecodable"}, why...), "%d datagrams, sets or records could not be decoded (%s): capture some with tcpdump and look with 'flowsnitch decode'", n, named(why))
}

// templates looks for data that cannot be read because its template is missing.
func (c *exporterCheck) templates(l, before *exporterLook) finding {
	f := finding{observe.Finding{Check: "templates"}}
	n := observe.Grown(l.unread(), before.unread())
	f.Value = float64(n)
	capped := c.templateCaps(&f, l, before)
	if n > 0 && !capped {
		f.Raise(observe.Warning)
		who := whoMisses(l.exporters.List)
		from := ""
		if len(who) > 0 {
			from = " (" + named(who) + ")"
		}
		f.addFor(append([]string{"missing"}, who...), "%d data sets came without their template%s: let the exporter send templates more often (every minute)", n, from)
	}
	f.restored(&l.exporters.Restored, l.age)
	f.unsaved(&l.exporters.File, &before.exporters.File)
	f.Otherwise("all data has its template")
	return f
}

// unsaved warns while the file of templates cannot be written.
func (f *finding) unsaved(file, before *TemplateFileStatus) {
	if file.Error == "" && file.WriteErrors <= before.WriteErrors {
		return
	}
	f.Warn("unsaved", "the file of templates cannot be written (%s): after a restart data would wait for its templates", cmp.Or(file.Error, "it can again now"))
}

// unread is the number of data sets that have not got their template, so far.
func (l *exporterLook) unread() uint64 {
	return observe.Grown(l.decoded.UnknownSets, l.exporters.Early.Replayed)
}

// whoMisses names the exporters whose templates are missing.
func whoMisses(list []decode.ExporterStatus) []string {
	var who []string
	for i := range list {
		e := &list[i]
		if slices.ContainsFunc(e.Streams, func(st decode.StreamStatus) bool { return len(st.Missing) > 0 }) {
			who = append(who, e.Address.String())
		}
	}
	return who
}

// exporterCaps warns when there was no room for exporters, their domains or samplers.
func (c *exporterCheck) exporterCaps(f *finding, l, before *exporterLook) {
	refused := func(r decode.Reason) uint64 {
		return observe.Grown(l.decoded.Problems[r], before.decoded.Problems[r])
	}
	if n := refused("cap_exporters"); n > 0 {
		f.Warn("cap_exporters", "%d datagrams of new exporters were not read, the table of exporters is full (limits.exporters: %d): raise it, or let 'allow' of the listener pass fewer senders", n, c.caps.Exporters)
	}
	if n := observe.Grown(l.exporters.Displaced, before.exporters.Displaced); n > 0 {
		key := "limits.exporters"
		if near(l.exporters.StateBytes, c.caps.StateBytes) {
			key = "limits.state_bytes"
		}
		f.Warn("gave way", "%d senders that are not proven were forgotten to make room, %s is reached: raise it, or let 'allow' of the listener pass fewer senders", n, key)
	}
	if n := refused("cap_streams"); n > 0 {
		f.AtLeast(observe.Warning)
		key, who := "limits.domains_per_exporter", c.full(l.exporters.List, func(e *decode.ExporterStatus) bool { return len(e.Streams) >= c.caps.DomainsPerExporter })
		if near(l.exporters.StateBytes, c.caps.StateBytes) {
			key, who = "limits.state_bytes", nil
		}
		f.Add("cap_streams", "%d datagrams of new domains, engines or agents were not read, %s is reached%s: raise it, or find the sender", n, key, from(who))
	}
	if n := refused("cap_samplers"); n > 0 {
		f.Warn("cap_samplers", "%d samplers were not kept, limits.samplers is reached: counts of their flows are not scaled; raise it", n)
	}
}

// templateCaps warns when there was no room for templates or for data that waits for one.
// It reports whether that explains data without a template.
func (c *exporterCheck) templateCaps(f *finding, l, before *exporterLook) (explains bool) {
	key, who := "", []string(nil)
	switch {
	case near(l.exporters.TemplateBytes, c.caps.TemplateBytes):
		key = "limits.template_bytes"
	case c.caps.Templates > 0 && l.exporters.Templates >= int64(c.caps.Templates):
		key = "limits.templates"
	default:
		who = c.full(l.exporters.List, func(e *decode.ExporterStatus) bool {
			n := 0
			for i := range e.Streams {
				n += e.Streams[i].Templates
			}
			return n >= c.caps.TemplatesPerExporter
		})
		if len(who) > 0 {
			key = "limits.templates_per_exporter"
		}
	}
	lost := observe.Grown(l.unread(), before.unread())
	if n := observe.Grown(l.decoded.Problems["cap_templates"], before.decoded.Problems["cap_templates"]); n > 0 {
		explains = true
		f.Warn("cap_templates", "%d templates were refused, %s is reached%s: raise it, or find the sender", n,
			cmp.Or(key, "limits.templates, templates_per_exporter or template_bytes"), from(who))
	} else if lost > 0 && key != "" {
		explains = true
		f.Warn("cap_templates", "%d data sets have no template, %s is reached%s: raise it, or find the sender", lost, key, from(who))
	}
	if n := observe.Grown(l.exporters.Early.Full, before.exporters.Early.Full); n > 0 {
		f.Warn("early", "%d data sets that came before their template found no room to wait: raise limits.early_bytes and limits.early_bytes_per_exporter", n)
	}
	if n := observe.Grown(l.exporters.Early.Displaced, before.exporters.Early.Displaced); n > 0 {
		f.Warn("early gave way", "%d data sets that waited for their template made room for those of better known exporters: raise limits.early_bytes", n)
	}
	return explains
}

// near reports whether a limit in bytes is reached; 0 = it is not known.
func near(n int64, limit int) bool { return limit > 0 && float64(n) >= nearlyFull*float64(limit) }

// full names the exporters that have reached a limit.
func (c *exporterCheck) full(list []decode.ExporterStatus, has func(*decode.ExporterStatus) bool) (who []string) {
	if c.caps == (decode.Limits{}) {
		return nil
	}
	for i := range list {
		if has(&list[i]) {
			who = append(who, list[i].Address.String())
		}
	}
	return who
}

// from names exporters behind a cause.
func from(who []string) string {
	if len(who) == 0 {
		return ""
	}
	return " by " + named(who)
}

// restored warns for an hour of what the file of templates has lost.
func (f *finding) restored(r *RestoredStatus, age time.Duration) {
	if age > startTrouble || r.Damaged+r.Refused == 0 && r.Error == "" {
		return
	}
	f.Warn("file", "the file of templates was not taken up as a whole at the start (%d lines damaged, %d without room%s): data waits until its template comes again",
		r.Damaged, r.Refused, after(r.Error))
}
