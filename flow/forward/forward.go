package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

const (
	// refreshEvery is how often names are resolved again and addresses checked
	// for a changed way to them.
	refreshEvery = 5 * time.Minute
	// retryEvery applies while a target has no address yet.
	retryEvery = 30 * time.Second
	// lookupTimeout bounds one round of lookups, and with it Start.
	lookupTimeout = 5 * time.Second
	// forwardBuffer is the send buffer asked for, in bytes.
	forwardBuffer = 1 << 20
)

// A Forwarder copies datagrams to the targets of [udp.Config.Forward]. It never waits:
// what a target's send buffer has no room for is dropped and counted.
//
// Where the process may (CAP_NET_RAW, Linux) and both ends speak the same family,
// the copies carry the exporter's address and port as their source; otherwise
// they come from this machine and are counted in TargetStats.SourceLost.
//
// Each worker has its own: only one goroutine may call Send.
type Forwarder struct {
	host    string // of the listener, and its port
	port    uint16
	targets []*target
	out     outbox

	// Owned by the caller of Send.
	guard    loopGuard
	kept     []flow.Datagram // scratch
	loopedAt time.Time       // when loopedFrom was set

	loopedFrom atomic.Pointer[netip.AddrPort] // who sent a datagram that came again, the last

	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

// TargetStats is what became of the datagrams given to Send, for one target: each
// is in exactly one of Sent, Dropped, Failed and Looped.
type TargetStats struct {
	Target string         // as configured
	Addr   netip.AddrPort // in use; invalid while there is none
	// KeepsSource reports whether copies carry their exporter's address.
	KeepsSource bool
	Sent        uint64 // handed to the kernel
	SourceLost  uint64 // of Sent, those that carry our address
	Dropped     uint64 // no room in the send buffer, or no address yet
	Failed      uint64 // the system refused; also a dead port on a near machine
	// Looped were left out because they had been forwarded within the last ten seconds:
	// somebody that we forward to forwards to us.
	Looped uint64
	// LoopedFrom sent the last of Looped; invalid while there is none.
	LoopedFrom netip.AddrPort
	// Err is what went wrong with the address at the last attempt, or empty.
	Err string
}

// A target is one forwarding destination. route is nil while there is none.
type target struct {
	name  string
	host  string
	port  uint16
	route atomic.Pointer[route]
	err   atomic.Pointer[string]

	sent, sourceLost, dropped, failed, looped atomic.Uint64
}

// A route is a way to a target: connected sockets, so that the kernel looks up
// the path once and reports closed ports.
type route struct {
	to     netip.AddrPort
	from   netip.Addr // our own address on that path
	plain  syscall.RawConn
	spoof  syscall.RawConn // raw socket; nil where the source cannot be kept
	closer []func() error
}

// New prepares to send to cfg.Forward, which must have passed Validate.
// cfg.Listen is needed to refuse a target that leads back to ourselves.
func New(cfg udp.Config) (*Forwarder, error) {
	own, at, err := udp.SplitListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{host: own, port: at, lookup: net.DefaultResolver.LookupNetIP, done: make(chan struct{})}
	for _, name := range cfg.Forward {
		host, port, err := udp.SplitTarget(name)
		if err != nil {
			return nil, fmt.Errorf("forward: %w", err)
		}
		f.targets = append(f.targets, &target{name: name, host: host, port: port})
	}
	return f, nil
}

// Start resolves the targets, for at most 5 seconds, and keeps them resolved:
// every 5 minutes, every 30 seconds while one has no address. A target that
// cannot be resolved is no error: its datagrams are counted as dropped meanwhile.
func (f *Forwarder) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	if len(f.targets) == 0 {
		close(f.done)
		return
	}
	wait := f.refresh(ctx)
	go f.run(ctx, wait)
}

// Stop ends the resolving and closes the sockets. The worker must not call Send
// any more.
func (f *Forwarder) Stop() {
	f.once.Do(func() {
		if f.stop == nil {
			return
		}
		f.stop()
		<-f.done
		for _, t := range f.targets {
			t.swap(nil)
		}
	})
}

func (f *Forwarder) run(ctx context.Context, wait time.Duration) {
	defer close(f.done)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(f.refresh(ctx))
		}
	}
}

// refresh looks at every target once and returns when to do so again.
func (f *Forwarder) refresh(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	wait := refreshEvery
	for _, t := range f.targets {
		if err := f.update(ctx, t); err != nil {
			text := err.Error()
			t.err.Store(&text)
		} else {
			t.err.Store(nil)
		}
		if t.route.Load() == nil {
			wait = retryEvery
		}
	}
	return wait
}

// update gives the target a new route if the way to it has changed. On an error
// the old one stays. An unchanged route stays too: many collectors distinguish exporters
// apart by the source port.
func (f *Forwarder) update(ctx context.Context, t *target) error {
	addr, err := f.resolve(ctx, t)
	if err != nil {
		return err
	}
	if f.leadsBack(addr) {
		t.swap(nil)
		return fmt.Errorf("forward %s: %s is this listener itself", t.name, addr)
	}
	next, err := dial(addr)
	if err != nil {
		return err
	}
	if old := t.route.Load(); old != nil && old.to == next.to && old.from == next.from {
		next.close()
		return nil
	}
	t.swap(next)
	return nil
}

// resolve prefers the address in use as long as the name still has it.
func (f *Forwarder) resolve(ctx context.Context, t *target) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(t.host); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), t.port), nil
	}
	addrs, err := f.lookup(ctx, "ip", t.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("forward %s: %w", t.name, err)
	}
	if len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("forward %s: the name has no address", t.name)
	}
	best := addrs[0].Unmap()
	if r := t.route.Load(); r != nil {
		for _, a := range addrs {
			if a.Unmap() == r.to.Addr() {
				best = r.to.Addr()
			}
		}
	}
	return netip.AddrPortFrom(best, t.port), nil
}

// leadsBack reports whether a copy sent to addr would arrive at our own listener,
// and be copied again for ever.
func (f *Forwarder) leadsBack(addr netip.AddrPort) bool {
	if addr.Port() != f.port {
		return false
	}
	if own, err := netip.ParseAddr(f.host); err == nil && !own.IsUnspecified() {
		return own.Unmap() == addr.Addr()
	}
	return isLocal(addr.Addr())
}

func isLocal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, _ := net.InterfaceAddrs() // without them only the obvious is refused
	for _, ifa := range addrs {
		if p, err := netip.ParsePrefix(ifa.String()); err == nil && p.Addr() == a.WithZone("") {
			return true
		}
	}
	return false
}

// swap puts a route in place and closes the one before. A Send that has just
// loaded it finds closed sockets and counts its datagrams as failed.
func (t *target) swap(next *route) {
	if old := t.route.Swap(next); old != nil {
		old.close()
	}
}

func dial(to netip.AddrPort) (*route, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	_ = conn.SetWriteBuffer(forwardBuffer) // a smaller one only drops earlier
	r := &route{to: to, closer: []func() error{conn.Close}}
	r.from = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if r.plain, err = conn.SyscallConn(); err != nil {
		conn.Close()
		return nil, err
	}
	if raw, err := dialSpoofing(to.Addr()); err == nil {
		r.closer = append(r.closer, raw.Close)
		if r.spoof, err = raw.SyscallConn(); err != nil {
			r.spoof = nil
		}
	}
	return r, nil
}

func (r *route) close() error {
	var errs []error
	for _, c := range r.closer {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// Send copies the batch to every target, but for datagrams that come back to us in a
// loop. It neither blocks nor allocates, and keeps nothing of the batch.
func (f *Forwarder) Send(batch []flow.Datagram) {
	if len(f.targets) == 0 {
		return
	}
	batch = f.loops(batch)
	for _, t := range f.targets {
		if r := t.route.Load(); r != nil {
			f.out.send(t, r, batch)
		} else {
			t.dropped.Add(uint64(len(batch)))
		}
	}
	clear(f.kept)
}

// Stats gives the state of each target, in the order of the configuration. It may be
// called at any time.
func (f *Forwarder) Stats() []TargetStats {
	all := make([]TargetStats, len(f.targets))
	for i, t := range f.targets {
		all[i] = t.stats()
		if from := f.loopedFrom.Load(); from != nil {
			all[i].LoopedFrom = *from
		}
	}
	return all
}

func (t *target) stats() TargetStats {
	st := TargetStats{
		Target:     t.name,
		Sent:       t.sent.Load(),
		SourceLost: t.sourceLost.Load(),
		Dropped:    t.dropped.Load(),
		Failed:     t.failed.Load(),
		Looped:     t.looped.Load(),
	}
	if r := t.route.Load(); r != nil {
		st.Addr, st.KeepsSource = r.to, r.spoof != nil
	}
	if text := t.err.Load(); text != nil {
		st.Err = *text
	}
	return st
}
