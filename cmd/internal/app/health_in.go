package app

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// canaryFinding tells how far behind the self-test is: at which listener, at which sink.
func canaryFinding(s *Status, now time.Time) finding {
	c := &s.Canary
	f := finding{observe.Finding{Check: "canary", Unit: "s", Warning: c.EverySeconds + canaryGrace, Critical: canaryCritical*c.EverySeconds + canaryGrace}}
	if c.EverySeconds == 0 {
		f.Otherwise("no self-test is configured (canary.every)")
		return f
	}
	look := func(last time.Time, name, format string) {
		if last.IsZero() {
			last = s.Since
		}
		age := now.Sub(last).Seconds()
		f.Value = max(f.Value, age)
		if age > f.Warning {
			f.Add(name, format, name, ago(age))
		}
	}
	sent := len(c.Listeners) == 0
	for _, l := range slices.Sorted(maps.Keys(c.Listeners)) {
		if why := c.Listeners[l].Trouble; why != "" {
			f.AtLeast(observe.Warning)
			f.Add(l, "no self-test can be sent to udp %s (%s)", l, why)
			continue
		}
		sent = true
		look(c.Listeners[l].LastSeen, l, "udp %s has received no self-test for %s: look at its allow list and at the host's firewall")
	}
	if sent { // else nothing can have come anywhere
		look(c.LastSeen, "correlator", "the %s has received no self-test for %s: restart the instance and report this")
		for _, k := range slices.Sorted(maps.Keys(c.Sinks)) {
			look(c.Sinks[k].Last, k, "%s has delivered no self-test for %s: look at what it sends to")
		}
	}
	f.Judge()
	f.Otherwise("the last self-test came through %s ago", ago(f.Value))
	return f
}

// A silence is how long an exporter has said nothing, and how long it may.
type silence struct {
	name         string
	pause, limit time.Duration
}

// exporterFinding tells of exporters that are silent for longer than they usually are, or
// than they may be by the configuration.
func exporterFinding(s *Status, p *past, now time.Time) finding {
	f := finding{observe.Finding{Check: "exporters", Unit: "s"}}
	all := p.exporters(s, now)
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
	some := anyExport(s, now)
	if len(all) == 0 && !some && now.Sub(s.Since) > firstExporterWithin {
		f.AtLeast(observe.Warning)
		f.Add("", "no datagrams since the start: point the flow export of a router here, and see 'refused' in 'flowsnitch status'")
	}
	f.transit(p)
	f.refusedSenders(s, &p.status)
	f.exporterCaps(s, p)
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
func anyExport(s *Status, now time.Time) bool {
	return slices.ContainsFunc(s.Exporters.List, func(e decode.ExporterStatus) bool {
		last, ok := lastExport(&e)
		return ok && now.Sub(last) < firstExporterWithin
	})
}

// exporters gives the silence of each exporter that is proven or that the configuration
// names, the longest first: one stray datagram makes nobody an exporter.
func (p *past) exporters(s *Status, now time.Time) []silence {
	pauses := pausesOf(s, now)
	var list []silence
	isNamed := make(map[netip.Addr]bool, len(p.named))
	for _, e := range p.named {
		addr := e.Address.Unmap()
		isNamed[addr] = true
		q := silence{name: addr.String(), pause: now.Sub(s.Since), limit: max(firstExporterWithin, p.limits.Silence)}
		if e.Name != "" {
			q.name = fmt.Sprintf("%s (%s)", e.Name, addr)
		}
		if pause, ok := pauses[addr]; ok {
			q.pause, q.limit = pause, p.limit(addr)
		}
		q.limit = cmp.Or(e.Silence, q.limit)
		list = append(list, q)
	}
	for i := range s.Exporters.List {
		e := &s.Exporters.List[i]
		if pause, ok := pauses[e.Address]; ok && !isNamed[e.Address] && !e.Unproven {
			list = append(list, silence{e.Address.String(), pause, p.limit(e.Address)})
		}
	}
	slices.SortStableFunc(list, func(a, b silence) int { return cmp.Compare(b.pause, a.pause) })
	return list
}

// limit is how long an exporter may be silent that is known.
func (p *past) limit(addr netip.Addr) time.Duration {
	return max(p.limits.Silence, silenceFactor*p.habits[addr].usual())
}

// pausesOf tells how long each exporter and each sFlow agent has said nothing. Before the
// start nobody listened: that is not held against them.
func pausesOf(s *Status, now time.Time) map[netip.Addr]time.Duration {
	pauses := make(map[netip.Addr]time.Duration, len(s.Exporters.List))
	note := func(addr netip.Addr, last time.Time) {
		pause := min(now.Sub(last), now.Sub(s.Since))
		if known, ok := pauses[addr]; !ok || pause < known {
			pauses[addr] = pause
		}
	}
	for i := range s.Exporters.List {
		e := &s.Exporters.List[i]
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

// lossFinding tells of flows that did not get to the matcher, or hits that did not get on.
func lossFinding(s, before *Status) finding {
	f := finding{observe.Finding{Check: "loss", Unit: "%", Warning: lossWarning, Critical: lossCritical}}
	now, then := lossesOf(s), lossesOf(before)
	for _, l := range []struct {
		name      string
		lost, all uint64 // all beside those lost
		format    string
	}{
		{"kernel", observe.Grown(now.drops, then.drops), observe.Grown(now.datagrams, then.datagrams),
			"%d datagrams dropped by the kernel (%s %%): give listen more sockets or receive_buffer, see net.core.rmem_max"},
		{"network", observe.Grown(now.gone, then.gone), observe.Grown(now.numbered, then.numbered),
			"%d datagrams lost on the way by the exporters' sequence numbers (%s %%): look at the network and at the exporters"},
		{"network", observe.Grown(now.gaps, then.gaps), observe.Grown(now.records, then.records),
			"%d flows lost on the way by the exporters' sequence numbers (%s %%): look at the network and at the exporters"},
		{"queue", observe.Grown(now.hits, then.hits), observe.Grown(now.found, then.found),
			"%d hits found a full queue (%s %%): raise contact.hit_queue, or look for a feed that lists too much"},
	} {
		if l.lost == 0 {
			continue
		}
		share := 100 * float64(l.lost) / float64(l.lost+l.all)
		f.Value = max(f.Value, share)
		f.Add(l.name, l.format, l.lost, percent(share))
	}
	f.Judge()
	f.graveHits(s, before)
	f.sockets(s, before)
	f.undecodable(s, before)
	f.jumps(s, before)
	f.contactCaps(s, before)
	f.Otherwise("nothing was lost in the last minutes")
	return f
}

// lossCounts are what came and what was lost.
type lossCounts struct {
	drops, datagrams uint64 // at the sockets
	gone, numbered   uint64 // of protocols that number datagrams
	gaps, records    uint64 // of those that number flows
	hits, found      uint64
}

func lossesOf(s *Status) (c lossCounts) {
	for _, l := range s.Listeners {
		c.drops += l.KernelDrops
		c.datagrams += l.Datagrams
	}
	v := s.Decoded.Versions
	c.numbered = v["v9"].Datagrams + v["sflow"].Datagrams
	c.records = v["v5"].Records + v["ipfix"].Records
	c.gone = s.Exporters.Lost.Datagrams
	c.gaps = s.Exporters.Lost.Flows + s.Exporters.Lost.Records
	c.hits, c.found = s.Hits.HitQueueFull, s.Hits.Found
	return c
}

// templateFinding tells of data that nobody can read because its template is missing.
func templateFinding(s *Status, p *past, now time.Time) finding {
	f := finding{observe.Finding{Check: "templates"}}
	n := observe.Grown(unread(s), unread(&p.status))
	f.Value = float64(n)
	capped := f.templateCaps(s, p)
	if n > 0 && !capped {
		f.Raise(observe.Warning)
		who := whoMisses(s)
		from := ""
		if len(who) > 0 {
			from = " (" + named(who) + ")"
		}
		f.addFor(append([]string{"missing"}, who...), "%d data sets came without their template%s: let the exporter send templates more often (every minute)", n, from)
	}
	f.restored(s, now)
	f.unsaved(s, p)
	f.Otherwise("all data has its template")
	return f
}

// unsaved warns while the file of templates cannot be written.
func (f *finding) unsaved(s *Status, p *past) {
	file := &s.Exporters.File
	if file.Error == "" && file.WriteErrors <= p.status.Exporters.File.WriteErrors {
		return
	}
	f.AtLeast(observe.Warning)
	f.Add("unsaved", "the file of templates cannot be written (%s): after a restart data would wait for its templates", cmp.Or(file.Error, "it can again now"))
}

// unread is the number of data sets that have not got their template, so far.
func unread(s *Status) uint64 {
	return observe.Grown(s.Decoded.UnknownSets, s.Exporters.Early.Replayed)
}

// whoMisses names the exporters whose templates are missing.
func whoMisses(s *Status) []string {
	var who []string
	for i := range s.Exporters.List {
		e := &s.Exporters.List[i]
		if slices.ContainsFunc(e.Streams, func(st decode.StreamStatus) bool { return len(st.Missing) > 0 }) {
			who = append(who, e.Address.String())
		}
	}
	return who
}

// workerFinding tells of loops of the path that do not turn: each does once a second.
func workerFinding(s *Status, now time.Time) finding {
	f := finding{observe.Finding{Check: "workers", Unit: "s", Warning: workerWarning, Critical: workerCritical}}
	look := func(beat time.Time, name string) {
		stall := now.Sub(beat).Seconds()
		f.Value = max(f.Value, stall)
		if stall > workerWarning {
			f.Add(name, "%s has not turned for %s: the machine is overloaded, or restart the instance and report this", name, ago(stall))
		}
	}
	for _, l := range s.Listeners {
		look(l.Beat, "a worker of udp "+l.Address)
	}
	look(s.Hits.Beat, "the correlator")
	for _, w := range s.Stalled {
		f.AtLeast(observe.Warning)
		f.Add(w.Work, "%s has stalled for %s: see whether the disk of the state directory answers", w.Work, ago(w.Seconds))
	}
	f.Judge()
	f.Otherwise("all workers turn")
	return f
}
