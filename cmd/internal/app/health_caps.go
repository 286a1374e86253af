package app

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// leastRefused is how many datagrams within lossWindow make a sender that is not allowed one
// that goes on sending; fewer are a stray or a scan.
const leastRefused = 3

// manyRefused is how many datagrams of senders that send little each are worth a word.
const manyRefused = 100

// leastUndecodable is how many datagrams, sets or records within lossWindow cannot be
// decoded before somebody must look: one that is forged is not worth a word.
const leastUndecodable = 10

// startTrouble is for how long what was wrong at the start stays a finding.
const startTrouble = time.Hour

// nearlyFull is the share of a limit in bytes from which it counts as reached: the next
// item may not fit any more.
const nearlyFull = 0.95

// refusedSenders warns of senders that are not allowed and go on sending.
func (f *finding) refusedSenders(s, before *Status) {
	for i := range s.Listeners {
		l := &s.Listeners[i]
		old := listenerBefore(before, l.Address)
		n := observe.Grown(l.Refused, old.Refused)
		var who []string
		for _, r := range l.RefusedSenders {
			if observe.Grown(r.Certain, certainOf(old, r.Address)) >= leastRefused {
				who = append(who, r.Address.String())
			}
		}
		if len(who) == 0 && n < manyRefused {
			continue
		}
		f.AtLeast(observe.Warning)
		if len(who) == 0 {
			f.Add("refused", "%d datagrams of many senders that are not allowed were refused by udp %s: look for a scan or for forged addresses", n, l.Address)
			continue
		}
		f.addFor(who, "%d datagrams were refused by udp %s, their senders are not allowed (%s): add those that are yours to 'allow' of the listener or to 'home'",
			n, l.Address, named(who))
	}
}

// certainOf is how many datagrams of a sender had been refused.
func certainOf(l *ListenerStatus, a netip.Addr) uint64 {
	for _, r := range l.RefusedSenders {
		if r.Address == a {
			return r.Certain
		}
	}
	return 0
}

// addFor is add for a cause that is one piece of news for each of many.
func (f *finding) addFor(what []string, format string, args ...any) {
	f.Add(what[0], format, args...)
	f.AddKeys(what[1:]...)
}

// listenerBefore finds a listener in an older status.
func listenerBefore(before *Status, address string) *ListenerStatus {
	for i := range before.Listeners {
		if before.Listeners[i].Address == address {
			return &before.Listeners[i]
		}
	}
	return &ListenerStatus{}
}

// exporterCaps warns when there was no room for exporters, their domains or samplers.
func (f *finding) exporterCaps(s *Status, p *past) {
	refused := func(r decode.Reason) uint64 {
		return observe.Grown(s.Decoded.Problems[r], p.status.Decoded.Problems[r])
	}
	if n := refused("cap_exporters"); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("cap_exporters", "%d datagrams of new exporters were not read, the table of exporters is full (limits.exporters: %d): raise it, or let 'allow' of the listener pass fewer senders", n, p.caps.Exporters)
	}
	if n := observe.Grown(s.Exporters.GaveWay, p.status.Exporters.GaveWay); n > 0 {
		key := "limits.exporters"
		if near(s.Exporters.StateBytes, p.caps.StateBytes) {
			key = "limits.state_bytes"
		}
		f.AtLeast(observe.Warning)
		f.Add("gave way", "%d senders that are not proven were forgotten to make room, %s is reached: raise it, or let 'allow' of the listener pass fewer senders", n, key)
	}
	if n := refused("cap_streams"); n > 0 {
		f.AtLeast(observe.Warning)
		key, who := "limits.domains_per_exporter", p.full(s, func(e *decode.ExporterStatus) bool { return len(e.Streams) >= p.caps.DomainsPerExporter })
		if near(s.Exporters.StateBytes, p.caps.StateBytes) {
			key, who = "limits.state_bytes", nil
		}
		f.Add("cap_streams", "%d datagrams of new domains, engines or agents were not read, %s is reached%s: raise it, or find the sender", n, key, from(who))
	}
	if n := refused("cap_samplers"); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("cap_samplers", "%d samplers were not kept, limits.samplers is reached: counts of their flows are not scaled; raise it", n)
	}
}

// templateCaps warns when there was no room for templates or for data that waits for one.
// It reports whether that explains data without a template.
func (f *finding) templateCaps(s *Status, p *past) (explains bool) {
	key, who := "", []string(nil)
	switch {
	case near(s.Exporters.TemplateBytes, p.caps.TemplateBytes):
		key = "limits.template_bytes"
	case p.caps.Templates > 0 && s.Exporters.Templates >= int64(p.caps.Templates):
		key = "limits.templates"
	default:
		who = p.full(s, func(e *decode.ExporterStatus) bool {
			n := 0
			for i := range e.Streams {
				n += e.Streams[i].Templates
			}
			return n >= p.caps.TemplatesPerExporter
		})
		if len(who) > 0 {
			key = "limits.templates_per_exporter"
		}
	}
	lost := observe.Grown(unread(s), unread(&p.status))
	if n := observe.Grown(s.Decoded.Problems["cap_templates"], p.status.Decoded.Problems["cap_templates"]); n > 0 {
		explains = true
		f.AtLeast(observe.Warning)
		f.Add("cap_templates", "%d templates were refused, %s is reached%s: raise it, or find the sender", n,
			cmp.Or(key, "limits.templates, templates_per_exporter or template_bytes"), from(who))
	} else if lost > 0 && key != "" {
		explains = true
		f.AtLeast(observe.Warning)
		f.Add("cap_templates", "%d data sets have no template, %s is reached%s: raise it, or find the sender", lost, key, from(who))
	}
	if n := observe.Grown(s.Exporters.Early.Full, p.status.Exporters.Early.Full); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("early", "%d data sets that came before their template found no room to wait: raise limits.early_bytes and limits.early_bytes_per_exporter", n)
	}
	if n := observe.Grown(s.Exporters.Early.GaveWay, p.status.Exporters.Early.GaveWay); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("early gave way", "%d data sets that waited for their template made room for those of better known exporters: raise limits.early_bytes", n)
	}
	return explains
}

// near reports whether a limit in bytes is reached; 0 = it is not known.
func near(n int64, limit int) bool { return limit > 0 && float64(n) >= nearlyFull*float64(limit) }

// full names the exporters that have reached a limit.
func (p *past) full(s *Status, has func(*decode.ExporterStatus) bool) (who []string) {
	if p.caps == (decode.Limits{}) {
		return nil
	}
	for i := range s.Exporters.List {
		if has(&s.Exporters.List[i]) {
			who = append(who, s.Exporters.List[i].Address.String())
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
func (f *finding) restored(s *Status, now time.Time) {
	r := &s.Exporters.Restored
	if now.Sub(s.Since) > startTrouble || r.Damaged+r.Refused == 0 && r.Error == "" {
		return
	}
	f.AtLeast(observe.Warning)
	f.Add("file", "the file of templates was not taken up as a whole at the start (%d lines damaged, %d without room%s): data waits until its template comes again",
		r.Damaged, r.Refused, after(r.Error))
}

// opened warns for an hour of what the journal had lost at the start.
func (f *finding) opened(s *Status, now time.Time) {
	o := &s.Journal.Opened
	lost := o.MissingEvents + o.LostEvents
	if n := len(o.Unreadable); n > 0 && now.Sub(s.Since) <= startTrouble {
		f.AtLeast(observe.Warning)
		f.addFor(o.Unreadable, "%d files of the journal could not be read at the start: %s; events come as soon as they can be read, sinks whose place is set aside get all that is there; look for a broken disk", n, named(o.Unreadable))
	}
	if now.Sub(s.Since) > startTrouble || lost == 0 && o.DamagedBytes == 0 && len(o.BadCursors)+len(o.LostCursors) == 0 {
		return
	}
	f.AtLeast(observe.Warning)
	f.Add("opened", "the journal was damaged at the start: %d events are lost, %d bytes were cut off or passed over, the places of %d sinks could not be read (they get all that is there): look for a crash, a power cut or a broken disk",
		lost, o.TornBytes+o.DamagedBytes, len(o.BadCursors)+len(o.LostCursors))
}

// after puts a text behind a comma, if there is one.
func after(text string) string {
	if text == "" {
		return ""
	}
	return ", " + text
}

// forwards warns of targets that do not get their copies.
func (f *finding) forwards(s, before *Status) {
	for i := range s.Listeners {
		then := listenerBefore(before, s.Listeners[i].Address)
		for j := range s.Listeners[i].Forward {
			t, o := &s.Listeners[i].Forward[j], ForwardStatus{}
			if j < len(then.Forward) {
				o = then.Forward[j]
			}
			f.forward(t, &o)
		}
	}
}

func (f *finding) forward(t, before *ForwardStatus) {
	sent, dropped, failed := observe.Grown(t.Sent, before.Sent), observe.Grown(t.Dropped, before.Dropped), observe.Grown(t.Failed, before.Failed)
	if n := observe.Grown(t.Looped, before.Looped); 100*n > sent { // a network may double a few
		f.AtLeast(observe.Warning)
		f.Add("loop "+t.Target, "%d datagrams came again after they had been forwarded to %s (from %s): a receiver of the copies forwards to us, remove one of the two 'forward'",
			n, t.Target, t.LoopedFrom)
	}
	switch {
	case t.Address == (netip.AddrPort{}) && t.Error != "":
		f.AtLeast(observe.Warning)
		f.Add("forward "+t.Target, "forward target %s has no address (%s), %d copies dropped: look at the name and at the DNS", t.Target, t.Error, dropped)
	case dropped > 0:
		f.AtLeast(observe.Warning)
		f.Add("forward "+t.Target, "%d of %d copies for forward target %s were dropped (no room in the send buffer, or no address%s): raise net.core.wmem_max, or look at the way there",
			dropped, sent+dropped+failed, t.Target, after(t.Error))
	case failed > 0:
		f.AtLeast(observe.Warning)
		f.Add("forward "+t.Target, "%d of %d copies for forward target %s failed (nothing listens there, or a firewall refuses them%s): look at the target and at the way there",
			failed, sent+dropped+failed, t.Target, after(t.Error))
	}
}

// journalErrors tells of calls that failed, though the disk takes events now.
func (f *finding) journalErrors(j, before *JournalStatus) {
	if j.ReadTrouble != "" {
		f.AtLeast(observe.Critical)
		f.Add("unreadable", "the journal cannot be read, so that sinks wait: %s", j.ReadTrouble)
	}
	for _, e := range []struct {
		name   string
		n      uint64
		state  observe.State
		format string
	}{
		{"sync", observe.Grown(j.SyncErrors, before.SyncErrors), observe.Critical, "%d calls of fsync failed (%s): a power cut could lose events; look for a broken disk"},
		{"write", observe.Grown(j.WriteErrors, before.WriteErrors), observe.Warning, "%d writes of events failed (%s): look for a full or broken disk"},
		{"stall", observe.Grown(j.Stalls, before.Stalls), observe.Warning, "the disk stalled %d times (%s): look for a disk that is overloaded or breaking"},
		{"rewritten", observe.Grown(j.Rewritten, before.Rewritten), observe.Warning, "%d events were written again after a failed fsync (%s): look for a broken disk"},
		{"save", observe.Grown(j.SaveErrors, before.SaveErrors), observe.Warning, "the places of sinks could not be saved %d times (%s): after a crash sinks would get events again; look for a full or broken disk"},
		{"read", observe.Grown(j.ReadErrors, before.ReadErrors), observe.Warning, "%d reads failed (%s), events wait: look for a broken disk or too few file descriptors"},
	} {
		if e.n > 0 {
			f.AtLeast(e.state)
			f.Add(e.name, e.format, e.n, cmp.Or(j.LastError, j.Trouble, "no error is known"))
		}
	}
}

// contactCaps tells of contacts and remembered flows that had to make room.
func (f *finding) contactCaps(s, before *Status) {
	c, o := &s.Hits.Correlator, &before.Hits.Correlator
	if n := observe.Grown(c.ContactsEvicted, o.ContactsEvicted); n > 0 {
		f.AtLeast(observe.Warning)
		severe := uint64(0)
		for i := event.High; int(i) < len(c.EvictedBySeverity); i++ {
			severe += observe.Grown(c.EvictedBySeverity[i], o.EvictedBySeverity[i])
		}
		f.Add("evicted", "%d contacts had to make room (%d high or critical), their next hits count as new: raise contact.max_contacts, or look for a feed that lists too much", n, severe)
	}
	if n := observe.Grown(c.CrowdedOut, o.CrowdedOut); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("crowded out", "%d hits are rolled up in one event, all contacts that are held are more severe: raise contact.max_contacts, or look for a feed that lists too much", n)
	}
	if n := observe.Grown(c.FlowsForgotten, o.FlowsForgotten); n > 0 {
		f.AtLeast(observe.Warning)
		f.Add("forgotten", "%d remembered flows had to make room, what other exporters show of them counts twice: raise contact.max_flows", n)
	}
}

// sockets tells of datagrams that were cut, and of reads that failed.
func (f *finding) sockets(s, before *Status) {
	for i := range s.Listeners {
		l, o := &s.Listeners[i], listenerBefore(before, s.Listeners[i].Address)
		if n := observe.Grown(l.Truncated, o.Truncated); n > 0 {
			f.AtLeast(observe.Warning)
			f.Add("cut", "%d datagrams on udp %s were longer than any export datagram may be, and cut: find the sender", n, l.Address)
		}
		if n := observe.Grown(l.ReadErrors, o.ReadErrors); n > 0 {
			f.AtLeast(observe.Warning)
			f.Add("read", "%d reads of udp %s failed: look at the memory of the machine and at the log of the kernel", n, l.Address)
		}
	}
}

// jumps tells of sequence numbers that no loss explains. A few are a restart.
func (f *finding) jumps(s, before *Status) {
	if n := observe.Grown(s.Exporters.Lost.Jumps, before.Exporters.Lost.Jumps); n >= leastUndecodable {
		f.AtLeast(observe.Warning)
		f.Add("jumps", "%d sequence numbers that no loss explains: forged datagrams of an exporter ('flowsnitch status' shows which), or two devices behind one address", n)
	}
}

// graveHits tells of lost hits that could have been of a high severity.
func (f *finding) graveHits(s, before *Status) {
	n := uint64(0)
	for i := event.High; int(i) < len(s.Hits.HitsLost); i++ {
		n += observe.Grown(s.Hits.HitsLost[i], before.Hits.HitsLost[i])
	}
	if n > 0 {
		f.AtLeast(observe.Critical)
		f.Add("grave", "%d of the hits that found a full queue could have been of severity high or critical", n)
	}
}

// undecodable tells of datagrams that could not be decoded. Caps are told by other checks.
func (f *finding) undecodable(s, before *Status) {
	var n, datagrams uint64
	var why []string
	for _, r := range decode.Reasons() {
		d := observe.Grown(s.Decoded.Problems[r], before.Decoded.Problems[r])
		if d == 0 || strings.HasPrefix(string(r), "cap_") || r == "template_withdrawal" {
			continue
		}
		n += d
		why = append(why, fmt.Sprintf("%s: %d", r, d))
	}
	for name, v := range s.Decoded.Versions {
		datagrams += observe.Grown(v.Datagrams, before.Decoded.Versions[name].Datagrams)
	}
	if n < leastUndecodable || 100*float64(n) < lossWarning*float64(n+datagrams) {
		return
	}
	f.AtLeast(observe.Warning)
	f.addFor(append([]string{"undecodable"}, why...), "%d datagrams, sets or records could not be decoded (%s): capture some with tcpdump and look with 'flowsnitch decode'", n, named(why))
}

// quarantined tells of entries that wait for a decision.
func (f *finding) quarantined(s *Status) {
	if len(s.Intel.Quarantined) == 0 {
		return
	}
	var who []string
	for _, q := range s.Intel.Quarantined {
		who = append(who, q.Prefix.String())
	}
	f.AtLeast(observe.Warning)
	f.addFor(who, "rolled up in quarantine for a day, because they matched too much: %s; 'allow' what is listed by mistake, 'flowsnitch intel accept PREFIX' ends it", named(who))
}

// setFull tells of entries of feeds that found no room.
func (f *finding) setFull(s *Status) {
	n := 0
	var who []string
	for i := range s.Intel.Feeds {
		if over := s.Intel.Feeds[i].Refused[lookup.ReasonOverCap]; over > 0 {
			n += over
			who = append(who, s.Intel.Feeds[i].Name)
		}
	}
	if n > 0 {
		f.AtLeast(observe.Warning)
		f.addFor(who, "%d entries are not listed, the set is full (%s): raise intel.max_indicators, or leave out a feed", n, named(who))
	}
}
