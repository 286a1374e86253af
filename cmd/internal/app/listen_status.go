package app

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

// A ListenerStatus is one address, all its sockets together.
type ListenerStatus struct {
	Address          string `json:"address" label:"listener"`
	Listen           string `json:"listen"` // as configured
	Sockets          int    `json:"sockets" name:"udp_sockets" help:"Sockets, each with a worker."`
	Datagrams        uint64 `json:"datagrams" name:"udp_packets_total" help:"Datagrams received." show:"always"`
	Bytes            uint64 `json:"bytes" name:"udp_bytes_total" help:"Bytes received." show:"always" words:""`
	Refused          uint64 `json:"refused" name:"udp_refused_total" help:"Datagrams from senders that are not allowed." show:"always" loss:"true" judged:"exporters"`
	KernelDrops      uint64 `json:"kernel_drops" name:"udp_kernel_drops_total" help:"Datagrams dropped by the kernel because the socket buffer was full, where the system counts them." if:"KernelDropsKnown" show:"always" loss:"true" judged:"loss"`
	KernelDropsKnown bool   `json:"kernel_drops_known" name:"-"`
	Truncated        uint64 `json:"truncated" name:"udp_truncated_total" help:"Datagrams longer than a buffer." show:"always" words:"truncated" loss:"true" judged:"loss"`
	ReadErrors       uint64 `json:"read_errors" name:"udp_read_errors_total" help:"Failed reads." words:"failed reads" loss:"true" judged:"loss"`
	Unread           uint64 `json:"unread" name:"udp_unread_total" help:"Datagrams left unread in the socket buffers at shutdown." show:"some" words:"left unread at shutdown"`
	BufferConfigured int    `json:"buffer_configured" name:"udp_receive_buffer_configured_bytes" help:"Receive buffer of a socket as configured."`
	BufferGranted    int    `json:"buffer_granted" name:"udp_receive_buffer_bytes" help:"Receive buffer of a socket as granted by the kernel."`
	// Steered is false when the senders are spread over the sockets by address and port,
	// so that an exporter moves when its port changes.
	Steered bool `json:"steered" name:"udp_steered" help:"1 while all datagrams of a sender reach the same socket."`
	// RefusedSenders are those that are not allowed and send most, RefusedUnnamed the
	// datagrams of those that the log does not name, because it names too many already.
	RefusedSenders []RefusedSender `json:"refused_senders,omitempty" name:"udp_refused_senders" help:"Senders that are not allowed, of the 16 that send most to each socket."`
	RefusedUnnamed uint64          `json:"refused_unnamed" name:"udp_refused_unnamed_total" help:"Datagrams from senders that are not allowed and are not named in the log, which is full." show:"some" words:"refused from senders that the log does not name"`
	// Forward are the targets that get copies.
	Forward []ForwardStatus `json:"forward,omitempty"`
	// Beat is the time of the last turn of the worker that is furthest behind; each
	// turns once a second, even when nothing comes.
	Beat time.Time `json:"beat,omitzero" name:"worker_idle_seconds" help:"Time since the last turn of the slowest worker; each turns once a second."`
}

// A RefusedSender is an address whose datagrams are not read, because it is not allowed.
type RefusedSender struct {
	Address netip.Addr `json:"address" label:"sender"`
	// Datagrams are at most so many, Certain of them are surely its own: only 16 senders
	// are counted one by one, and a new one begins with the number of the one it replaces.
	Datagrams uint64    `json:"datagrams" name:"-" show:"always" words:"datagrams; if it is yours, add it to allow of the listener or to home"`
	Certain   uint64    `json:"certain" name:"-" show:"always" words:"certain"`
	Last      time.Time `json:"last" name:"-" show:"always"`
}

// A ForwardStatus is one target that gets copies of what a listener accepts, over all its
// workers: each copy is in one of Sent, Dropped, Failed and Looped.
type ForwardStatus struct {
	Target      string         `json:"target" label:"target"`
	Address     netip.AddrPort `json:"address,omitzero" name:"forward_up" help:"1 while the target has an address."`                        // in use; absent while there is none
	KeepsSource bool           `json:"keeps_source" name:"forward_keeps_source" help:"1 while copies carry the address of their exporter."` // copies carry the exporter's address
	Sent        uint64         `json:"sent" name:"forward_sent_total" help:"Copies forwarded." show:"always"`
	SourceLost  uint64         `json:"source_lost" name:"forward_source_lost_total" help:"Copies forwarded with the address of this machine as their source." show:"always" words:"with our own address as the source"` // of Sent, those that carry our address
	Dropped     uint64         `json:"dropped" name:"forward_dropped_total" help:"Copies dropped because the send buffer was full or the target had no address." show:"always" loss:"true" judged:"sinks"`              // no room in the send buffer, or no address
	Failed      uint64         `json:"failed" name:"forward_failed_total" help:"Copies that the system refused to send." show:"always" loss:"true" judged:"sinks"`                                                      // refused by the system
	Looped      uint64         `json:"looped" name:"forward_looped_total" help:"Datagrams not forwarded because they had been forwarded a moment ago: a loop." words:"looped" loss:"true" judged:"sinks"`               // left out: they had been forwarded a moment ago
	LoopedFrom  netip.AddrPort `json:"looped_from,omitzero"`                                                                                                                                                            // who sent the last of these
	Error       string         `json:"error,omitempty" show:"some"`
}

func (l *listener) status() ListenerStatus {
	var counted []udp.Stats
	for _, s := range l.sockets {
		counted = append(counted, s.Stats())
	}
	st := listenerStatus(counted)
	st.Address = l.sockets[0].LocalAddr().String()
	for _, s := range l.sockets {
		st.RefusedSenders = refusedSenders(st.RefusedSenders, s.RefusedSenders())
	}
	allowed := l.allows.Load() // a socket forgets whom it refused only when it reads again
	st.RefusedSenders = slices.DeleteFunc(st.RefusedSenders, func(r RefusedSender) bool { return allowed.Contains(r.Address) })
	var copies [][]forward.TargetStats
	for _, f := range l.forwards {
		copies = append(copies, f.Stats())
	}
	st.Forward = forwardStatus(copies)
	st.Beat = l.beat()
	return st
}

// listenerStatus adds up the counters of the sockets of an address.
func listenerStatus(sockets []udp.Stats) ListenerStatus {
	st := ListenerStatus{Sockets: len(sockets), KernelDropsKnown: true, Steered: true}
	for _, c := range sockets {
		st.Datagrams += c.Datagrams
		st.Bytes += c.Bytes
		st.Refused += c.Refused
		st.RefusedUnnamed += c.RefusedUnnamed
		st.KernelDrops += c.Drops
		st.KernelDropsKnown = st.KernelDropsKnown && c.DropsKnown
		st.Truncated += c.Truncated
		st.ReadErrors += c.ReadErrors
		st.Unread += c.Unread
		st.BufferConfigured, st.BufferGranted = c.BufferConfigured, c.BufferGranted
		st.Steered = st.Steered && c.Steered
	}
	return st
}

// refusedSenders adds those of one more socket, and puts those that send most first.
func refusedSenders(list []RefusedSender, more []udp.RefusedSender) []RefusedSender {
	for _, m := range more {
		i := slices.IndexFunc(list, func(r RefusedSender) bool { return r.Address == m.Addr })
		if i < 0 {
			list, i = append(list, RefusedSender{Address: m.Addr}), len(list)
		}
		r, last := &list[i], byWall(m.Last)
		r.Datagrams += m.Datagrams
		r.Certain += m.Certain
		if last.After(r.Last) {
			r.Last = last
		}
	}
	slices.SortStableFunc(list, func(a, b RefusedSender) int { return cmp.Compare(b.Datagrams, a.Datagrams) })
	return list
}

// forwardStatus adds up the counters of the workers' copies, by target. All workers have
// the same targets.
func forwardStatus(workers [][]forward.TargetStats) []ForwardStatus {
	var all []ForwardStatus
	for i, targets := range workers {
		for j, t := range targets {
			if i == 0 {
				all = append(all, ForwardStatus{Target: t.Target, KeepsSource: true})
			}
			f := &all[j]
			f.Sent += t.Sent
			f.SourceLost += t.SourceLost
			f.Dropped += t.Dropped
			f.Failed += t.Failed
			f.Looped += t.Looped
			if t.LoopedFrom.IsValid() {
				f.LoopedFrom = t.LoopedFrom
			}
			f.KeepsSource = f.KeepsSource && t.KeepsSource
			f.Address = t.Addr
			f.Error = cmp.Or(t.Err, f.Error)
		}
	}
	return all
}

// printListeners prints a line for each address, and what is odd about its senders.
func printListeners(w io.Writer, listeners []ListenerStatus, _ bool) {
	for _, l := range listeners {
		drops := fmt.Sprint(l.KernelDrops)
		if !l.KernelDropsKnown {
			drops = "unknown"
		}
		fmt.Fprintf(w, "listener   udp %s: %d datagrams, %s, kernel drops %s, %d refused, %d cut",
			l.Address, l.Datagrams, observe.Size(l.Bytes), drops, l.Refused, l.Truncated)
		fmt.Fprintln(w, show.Some(show.Count(l.ReadErrors, "reads failed"), show.Count(l.Unread, "unread at the end")))
		printRefused(w, &l)
		for _, f := range l.Forward {
			fmt.Fprintf(w, "forward    %s: %d sent, %d of them with our own address as the source, %d dropped, %d failed", f.Target, f.Sent, f.SourceLost, f.Dropped, f.Failed)
			if f.Looped > 0 {
				fmt.Fprintf(w, ", %d left out that came again (from %s)", f.Looped, f.LoopedFrom)
			}
			if f.Error != "" {
				fmt.Fprintf(w, "; %s", show.Printable(f.Error))
			}
			fmt.Fprintln(w)
		}
	}
}

// maxLines bounds what is listed one by one.
const maxLines = 10

// printRefused names the senders that are not allowed.
func printRefused(w io.Writer, l *ListenerStatus) {
	for i, r := range l.RefusedSenders {
		if i == maxLines {
			fmt.Fprintf(w, "           and %d more senders\n", len(l.RefusedSenders)-i)
			break
		}
		fmt.Fprintf(w, "           refused: %s, %d datagrams (%d at least), the last %s ago: if it is yours, add it to 'allow' of the listener or to 'home'\n",
			r.Address, r.Datagrams, r.Certain, time.Since(r.Last).Round(time.Second))
	}
	if l.RefusedUnnamed > 0 {
		fmt.Fprintf(w, "           refused: %d datagrams of senders that the log does not name\n", l.RefusedUnnamed)
	}
}
