package app

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// listenerChecks look for datagrams that are lost or refused at the sockets, for workers that
// stand, for copies that are not forwarded, and for flows that are not ours. transit gives
// the share of flows without an end in the home networks, in percent.
func listenerChecks(limits configs.Health, listeners func() []ListenerStatus, transit func(now time.Time) float64) observe.Checks {
	var past observe.History[[]ListenerStatus]
	return observe.Checks{Names: []string{"exporters", "loss", "sinks", "workers"}, States: func(now time.Time) []observe.Finding {
		list := listeners()
		before := past.Note(now, list)
		senders, loss, copies, turn := finding{observe.Finding{Check: "exporters"}}, newLoss(), finding{observe.Finding{Check: "sinks"}}, newTurn()
		senders.transit(transit(now), limits.Transit)
		senders.refusedSenders(list, before)
		loss.kernel(list, before)
		loss.Judge()
		loss.sockets(list, before)
		loss.Otherwise("nothing was lost in the last minutes")
		copies.forwards(list, before)
		for i := range list {
			turn.turned(list[i].Beat, now, "a worker of udp "+list[i].Address)
		}
		turn.Judge()
		turn.Otherwise("all workers turn")
		return []observe.Finding{senders.Finding, loss.Finding, copies.Finding, turn.Finding}
	}}
}

// kernel names what the kernel has dropped.
func (f *finding) kernel(list, before []ListenerStatus) {
	var drops, datagrams uint64
	for i := range list {
		old := listenerBefore(before, list[i].Address)
		drops += observe.Grown(list[i].KernelDrops, old.KernelDrops)
		datagrams += observe.Grown(list[i].Datagrams, old.Datagrams)
	}
	f.share("kernel", drops, datagrams, "%d datagrams dropped by the kernel (%s %%): give listen more sockets or receive_buffer, see net.core.rmem_max")
}

// refusedSenders warns of senders that are not allowed and go on sending.
func (f *finding) refusedSenders(list, before []ListenerStatus) {
	for i := range list {
		l := &list[i]
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

// listenerBefore finds a listener in an older status.
func listenerBefore(before []ListenerStatus, address string) *ListenerStatus {
	for i := range before {
		if before[i].Address == address {
			return &before[i]
		}
	}
	return &ListenerStatus{}
}

// sockets reports datagrams that were cut, and of reads that failed.
func (f *finding) sockets(list, before []ListenerStatus) {
	for i := range list {
		l, o := &list[i], listenerBefore(before, list[i].Address)
		if n := observe.Grown(l.Truncated, o.Truncated); n > 0 {
			f.Warn("cut", "%d datagrams on udp %s were longer than any export datagram may be, and cut: find the sender", n, l.Address)
		}
		if n := observe.Grown(l.ReadErrors, o.ReadErrors); n > 0 {
			f.Warn("read", "%d reads of udp %s failed: look at the memory of the machine and at the log of the kernel", n, l.Address)
		}
	}
}

// forwards warns of targets that do not get their copies.
func (f *finding) forwards(list, before []ListenerStatus) {
	for i := range list {
		then := listenerBefore(before, list[i].Address)
		for j := range list[i].Forward {
			t, o := &list[i].Forward[j], ForwardStatus{}
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
		f.Warn("loop "+t.Target, "%d datagrams came again after they had been forwarded to %s (from %s): a receiver of the copies forwards to us, remove one of the two 'forward'",
			n, t.Target, t.LoopedFrom)
	}
	switch {
	case t.Address == (netip.AddrPort{}) && t.Error != "":
		f.Warn("forward "+t.Target, "forward target %s has no address (%s), %d copies dropped: look at the name and at the DNS", t.Target, t.Error, dropped)
	case dropped > 0:
		f.Warn("forward "+t.Target, "%d of %d copies for forward target %s were dropped (no room in the send buffer, or no address%s): raise net.core.wmem_max, or look at the way there",
			dropped, sent+dropped+failed, t.Target, after(t.Error))
	case failed > 0:
		f.Warn("forward "+t.Target, "%d of %d copies for forward target %s failed (nothing listens there, or a firewall refuses them%s): look at the target and at the way there",
			failed, sent+dropped+failed, t.Target, after(t.Error))
	}
}
