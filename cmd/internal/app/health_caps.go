package app

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
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
func (f *Finding) refusedSenders(s, before *Status) {
	for i := range s.Listeners {
		l := &s.Listeners[i]
		old := listenerBefore(before, l.Address)
		n := grown(l.Refused, old.Refused)
		var who []string
		for _, r := range l.RefusedSenders {
			if grown(r.Certain, certainOf(old, r.Address)) >= leastRefused {
				who = append(who, r.Address.String())
			}
		}
		if len(who) == 0 && n < manyRefused {
			continue
		}
		f.atLeast(Warning)
		if len(who) == 0 {
			f.add("refused", "%d datagrams of many senders that are not allowed were refused by udp %s: look for a scan or for forged addresses", n, l.Address)
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
func (f *Finding) addFor(what []string, format string, args ...any) {
	f.add(what[0], format, args...)
	f.bad = append(f.bad, what[1:]...)
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
func (f *Finding) exporterCaps(s *Status, p *past) {
	refused := func(r decode.Reason) uint64 { return grown(s.Decoded.Problems[r], p.status.Decoded.Problems[r]) }
	if n := refused("cap_exporters"); n > 0 {
		f.atLeast(Warning)
		f.add("cap_exporters", "%d datagrams of new exporters were not read, the table of exporters is full (limits.exporters: %d): raise it, or let 'allow' of the listener pass fewer senders", n, p.caps.Exporters)
	}
	if n := grown(s.Exporters.GaveWay, p.status.Exporters.GaveWay); n > 0 {
		key := "limits.exporters"
		if near(s.Exporters.StateBytes, p.caps.StateBytes) {
			key = "limits.state_bytes"
		}
		f.atLeast(Warning)
		f.add("gave way", "%d senders that are not proven were forgotten to make room, %s is reached: raise it, or let 'allow' of the listener pass fewer senders", n, key)
	}
	if n := refused("cap_streams"); n > 0 {
		f.atLeast(Warning)
		key, who := "limits.domains_per_exporter", p.full(s, func(e *decode.ExporterStatus) bool { return len(e.Streams) >= p.caps.DomainsPerExporter })
		if near(s.Exporters.StateBytes, p.caps.StateBytes) {
			key, who = "limits.state_bytes", nil
		}
		f.add("cap_streams", "%d datagrams of new domains, engines or agents were not read, %s is reached%s: raise it, or find the sender", n, key, from(who))
	}
	if n := refused("cap_samplers"); n > 0 {
		f.atLeast(Warning)
		f.add("cap_samplers", "%d samplers were not kept, limits.samplers is reached: counts of their flows are not scaled; raise it", n)
	}
}

// templateCaps warns when there was no room for templates or for data that waits for one.
// It reports whether that explains data without a template.
func (f *Finding) templateCaps(s *Status, p *past) (explains bool) {
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
	lost := grown(unread(s), unread(&p.status))
	if n := grown(s.Decoded.Problems["cap_templates"], p.status.Decoded.Problems["cap_templates"]); n > 0 {
		explains = true
		f.atLeast(Warning)
		f.add("cap_templates", "%d templates were refused, %s is reached%s: raise it, or find the sender", n,
			cmp.Or(key, "limits.templates, templates_per_exporter or template_bytes"), from(who))
	} else if lost > 0 && key != "" {
		explains = true
		f.atLeast(Warning)
		f.add("cap_templates", "%d data sets have no template, %s is reached%s: raise it, or find the sender", lost, key, from(who))
	}
	if n := grown(s.Exporters.Early.Full, p.status.Exporters.Early.Full); n > 0 {
		f.atLeast(Warning)
		f.add("early", "%d data sets that came before their template found no room to wait: raise limits.early_bytes and limits.early_bytes_per_exporter", n)
	}
	if n := grown(s.Exporters.Early.GaveWay, p.status.Exporters.Early.GaveWay); n > 0 {
		f.atLeast(Warning)
		f.add("early gave way", "%d data sets that waited for their template made room for those of better known exporters: raise limits.early_bytes", n)
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
func (f *Finding) restored(s *Status, now time.Time) {
	r := &s.Exporters.Restored
	if now.Sub(s.Since) > startTrouble || r.Damaged+r.Refused == 0 && r.Error == "" {
		return
	}
	f.atLeast(Warning)
	f.add("file", "the file of templates was not taken up as a whole at the start (%d lines damaged, %d without room%s): data waits until its template comes again",
		r.Damaged, r.Refused, after(r.Error))
}

// opened warns for an hour of what the journal had lost at the start.
func (f *Finding) opened(s *Status, now time.Time) {
	o := &s.Journal.Opened
	lost := o.MissingEvents + o.LostEvents
	if n := len(o.Unreadable); n > 0 && now.Sub(s.Since) <= startTrouble {
		f.atLeast(Warning)
		f.addFor(o.Unreadable, "%d files of the journal could not be read at the start: %s; events come as soon as they can be read, sinks whose place is set aside get all that is there; look for a broken disk", n, named(o.Unreadable))
	}
	if now.Sub(s.Since) > startTrouble || lost == 0 && o.DamagedBytes == 0 && len(o.BadCursors)+len(o.LostCursors) == 0 {
		return
	}
	f.atLeast(Warning)
	f.add("opened", "the journal was damaged at the start: %d events are lost, %d bytes were cut off or passed over, the places of %d sinks could not be read (they get all that is there): look for a crash, a power cut or a broken disk",
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
func (f *Finding) forwards(s, before *Status) {
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

func (f *Finding) forward(t, before *ForwardStatus) {
	sent, dropped, failed := grown(t.Sent, before.Sent), grown(t.Dropped, before.Dropped), grown(t.Failed, before.Failed)
	if n := grown(t.Looped, before.Looped); 100*n > sent { // a network may double a few
		f.atLeast(Warning)
		f.add("loop "+t.Target, "%d datagrams came again after they had been forwarded to %s (from %s): a receiver of the copies forwards to us, remove one of the two 'forward'",
			n, t.Target, t.LoopedFrom)
	}
	switch {
	case t.Address == (netip.AddrPort{}) && t.Error != "":
		f.atLeast(Warning)
		f.add("forward "+t.Target, "forward target %s has no address (%s), %d copies dropped: look at the name and at the DNS", t.Target, t.Error, dropped)
	case dropped > 0:
		f.atLeast(Warning)
		f.add("forward "+t.Target, "%d of %d copies for forward target %s were dropped (no room in the send buffer, or no address%s): raise net.core.wmem_max, or look at the way there",
			dropped, sent+dropped+failed, t.Target, after(t.Error))
	case failed > 0:
		f.atLeast(Warning)
		f.add("forward "+t.Target, "%d of %d copies for forward target %s failed (nothing listens there, or a firewall refuses them%s): look at the target and at the way there",
			failed, sent+dropped+failed, t.Target, after(t.Error))
	}
}

// journalErrors tells of calls that failed, though the disk takes events now.
func (f *Finding) journalErrors(j, before *JournalStatus) {
	if j.ReadTrouble != "" {
		f.atLeast(Critical)
		f.add("unreadable", "the journal cannot be read, so that sinks wait: %s", j.ReadTrouble)
	}
	for _, e := range []struct {
		name   string
		n      uint64
		state  State
		format string
	}{
		{"sync", grown(j.SyncErrors, before.SyncErrors), Critical, "%d calls of fsync failed (%s): a power cut could lose events; look for a broken disk"},
		{"write", grown(j.WriteErrors, before.WriteErrors), Warning, "%d writes of events failed (%s): look for a full or broken disk"},
		{"stall", grown(j.Stalls, before.Stalls), Warning, "the disk stalled %d times (%s): look for a disk that is overloaded or breaking"},
		{"rewritten", grown(j.Rewritten, before.Rewritten), Warning, "%d events were written again after a failed fsync (%s): look for a broken disk"},
		{"save", grown(j.SaveErrors, before.SaveErrors), Warning, "the places of sinks could not be saved %d times (%s): after a crash sinks would get events again; look for a full or broken disk"},
		{"read", grown(j.ReadErrors, before.ReadErrors), Warning, "%d reads failed (%s), events wait: look for a broken disk or too few file descriptors"},
	} {
		if e.n > 0 {
			f.atLeast(e.state)
			f.add(e.name, e.format, e.n, cmp.Or(j.LastError, j.Trouble, "no error is known"))
		}
	}
}

// contactCaps tells of contacts and remembered flows that had to make room.
func (f *Finding) contactCaps(s, before *Status) {
	c, o := &s.Hits.Correlator, &before.Hits.Correlator
	if n := grown(c.ContactsEvicted, o.ContactsEvicted); n > 0 {
		f.atLeast(Warning)
		severe := uint64(0)
		for i := event.High; int(i) < len(c.EvictedBySeverity); i++ {
			severe += grown(c.EvictedBySeverity[i], o.EvictedBySeverity[i])
		}
		f.add("evicted", "%d contacts had to make room (%d high or critical), their next hits count as new: raise contact.max_contacts, or look for a feed that lists too much", n, severe)
	}
	if n := grown(c.CrowdedOut, o.CrowdedOut); n > 0 {
		f.atLeast(Warning)
		f.add("crowded out", "%d hits are rolled up in one event, all contacts that are held are more severe: raise contact.max_contacts, or look for a feed that lists too much", n)
	}
	if n := grown(c.FlowsForgotten, o.FlowsForgotten); n > 0 {
		f.atLeast(Warning)
		f.add("forgotten", "%d remembered flows had to make room, what other exporters show of them counts twice: raise contact.max_flows", n)
	}
}

// sockets tells of datagrams that were cut, and of reads that failed.
func (f *Finding) sockets(s, before *Status) {
	for i := range s.Listeners {
		l, o := &s.Listeners[i], listenerBefore(before, s.Listeners[i].Address)
		if n := grown(l.Truncated, o.Truncated); n > 0 {
			f.atLeast(Warning)
			f.add("cut", "%d datagrams on udp %s were longer than any export datagram may be, and cut: find the sender", n, l.Address)
		}
		if n := grown(l.ReadErrors, o.ReadErrors); n > 0 {
			f.atLeast(Warning)
			f.add("read", "%d reads of udp %s failed: look at the memory of the machine and at the log of the kernel", n, l.Address)
		}
	}
}

// jumps tells of sequence numbers that no loss explains. A few are a restart.
func (f *Finding) jumps(s, before *Status) {
	if n := grown(s.Exporters.Lost.Jumps, before.Exporters.Lost.Jumps); n >= leastUndecodable {
		f.atLeast(Warning)
		f.add("jumps", "%d sequence numbers that no loss explains: forged datagrams of an exporter ('flowsnitch status' shows which), or two devices behind one address", n)
	}
}

// graveHits tells of lost hits that could have been of a high severity.
func (f *Finding) graveHits(s, before *Status) {
	n := uint64(0)
	for i := event.High; int(i) < len(s.Hits.HitsLost); i++ {
		n += grown(s.Hits.HitsLost[i], before.Hits.HitsLost[i])
	}
	if n > 0 {
		f.atLeast(Critical)
		f.add("grave", "%d of the hits that found a full queue could have been of severity high or critical", n)
	}
}

// undecodable tells of datagrams that could not be decoded. Caps are told by other checks.
func (f *Finding) undecodable(s, before *Status) {
	var n, datagrams uint64
	var why []string
	for _, r := range decode.Reasons() {
		d := grown(s.Decoded.Problems[r], before.Decoded.Problems[r])
		if d == 0 || strings.HasPrefix(string(r), "cap_") || r == "template_withdrawal" {
			continue
		}
		n += d
		why = append(why, fmt.Sprintf("%s: %d", r, d))
	}
	for name, v := range s.Decoded.Versions {
		datagrams += grown(v.Datagrams, before.Decoded.Versions[name].Datagrams)
	}
	if n < leastUndecodable || 100*float64(n) < lossWarning*float64(n+datagrams) {
		return
	}
	f.atLeast(Warning)
	f.addFor(append([]string{"undecodable"}, why...), "%d datagrams, sets or records could not be decoded (%s): capture some with tcpdump and look with 'flowsnitch decode'", n, named(why))
}

// dnsblQueue tells of addresses that no zone was asked about, and of answers that had to
// make room.
func (f *Finding) dnsblQueue(s, before *Status) {
	if s.DNSBL == nil || before.DNSBL == nil {
		return
	}
	if n := grown(s.DNSBL.Dropped, before.DNSBL.Dropped); n > 0 {
		f.atLeast(Warning)
		f.add("dnsbl", "%d addresses were not queried at DNS lists, the queue is full: raise dnsbl.rate or dnsbl.queue", n)
	}
	if n := grown(s.DNSBL.Evicted, before.DNSBL.Evicted); n > 0 {
		f.atLeast(Warning)
		f.add("dnsbl cache", "%d answers of DNS lists left the full cache before their time, so that they are queried again: raise dnsbl.cache", n)
	}
}

// quarantined tells of entries that wait for a decision.
func (f *Finding) quarantined(s *Status) {
	if len(s.Intel.Quarantined) == 0 {
		return
	}
	var who []string
	for _, q := range s.Intel.Quarantined {
		who = append(who, q.Prefix.String())
	}
	f.atLeast(Warning)
	f.addFor(who, "rolled up in quarantine for a day, because they matched too much: %s; 'allow' what is listed by mistake, 'flowsnitch intel accept PREFIX' ends it", named(who))
}

// setFull tells of entries of feeds that found no room.
func (f *Finding) setFull(s *Status) {
	n := 0
	var who []string
	for i := range s.Intel.Feeds {
		if over := s.Intel.Feeds[i].Refused[lookup.ReasonOverCap]; over > 0 {
			n += over
			who = append(who, s.Intel.Feeds[i].Name)
		}
	}
	if n > 0 {
		f.atLeast(Warning)
		f.addFor(who, "%d entries are not listed, the set is full (%s): raise intel.max_indicators, or leave out a feed", n, named(who))
	}
}
