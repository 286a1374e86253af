package app

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/match"
	"go.uber.org/zap"
)

// A listener is one address that is listened on: its sockets, a worker for each,
// and the copies that go onward.
type listener struct {
	sockets  []*udp.Socket
	workers  []worker
	forwards []*forward.Forwarder // one for each worker, or none
	allows   atomic.Pointer[intel.Networks]

	unkept bool // it has been logged that copies carry our address; only the chores use it
}

// listen opens all addresses and starts their workers.
func (a *App) listen() error {
	for _, cfg := range a.cfg.Listen {
		cfg.Allow = allowed(cfg.Allow, a.cfg.AllHome())
		l, err := a.openListener(cfg)
		if err != nil {
			return err
		}
		a.listeners = append(a.listeners, l)
	}
	for _, l := range a.listeners {
		l.nameForwards(a.log)
		for _, w := range l.workers {
			w.Start()
		}
	}
	return nil
}

// nameForwards logs for each target whether copies will carry the address of their
// exporter.
func (l *listener) nameForwards(log *zap.Logger) {
	if len(l.forwards) == 0 {
		return
	}
	for _, t := range l.forwards[0].Stats() {
		fields := []zap.Field{zap.String("target", t.Target), zap.Stringer("listener", l.sockets[0].LocalAddr())}
		switch {
		case !t.Addr.IsValid():
			log.Warn("forward: the target has no address yet; copies for it are dropped until it has", append(fields, zap.String("why", t.Err))...)
		case t.KeepsSource:
			log.Info("forward: copies carry the address of their exporter", fields...)
		default:
			log.Warn("forward: copies carry the address of this machine, so that all exporters are one at the target; "+
				"CAP_NET_RAW keeps their addresses", fields...)
			l.unkept = true
		}
	}
}

func (a *App) openListener(cfg udp.Config) (*listener, error) {
	sockets, err := udp.Listen(cfg)
	if err != nil {
		return nil, err
	}
	l := &listener{sockets: sockets}
	l.allows.Store(intel.NewNetworks(cfg.Allow))
	for _, s := range sockets {
		src, err := l.source(s, cfg)
		if err != nil {
			l.discard()
			return nil, err
		}
		if a.wrap != nil {
			src = a.wrap(src)
		}
		l.workers = append(l.workers, a.newWorker(src, cfg.Batch))
	}
	return l, nil
}

// A worker is one of the path, with those of its taps that count something.
type worker struct {
	*collect.Worker
	matcher *match.Matcher
	transit *match.Transit
}

// newWorker makes a worker and its taps.
func (a *App) newWorker(src collect.Source, batch int) worker {
	w := worker{matcher: match.NewMatcher(a.store, a.loop.Gatherer()), transit: match.NewTransit(a.contacts.Ours)}
	taps := []collect.Tap{w.matcher, w.transit}
	if a.dnsbl != nil {
		taps = append(taps, match.NewAsking(a.store, a.dnsbl.NewAsker()))
	}
	w.Worker = collect.NewWorker(src, a.exporters, batch, taps...)
	return w
}

// source gives what the worker of a socket reads: the socket, or what copies its
// datagrams onward on the way.
func (l *listener) source(s *udp.Socket, cfg udp.Config) (collect.Source, error) {
	if len(cfg.Forward) == 0 {
		return s, nil
	}
	f, err := forward.New(cfg)
	if err != nil {
		return nil, err
	}
	f.Start()
	l.forwards = append(l.forwards, f)
	return copier{s, f}, nil
}

// discard closes what no worker has read from.
func (l *listener) discard() {
	for _, s := range l.sockets {
		s.Close()
	}
	for _, f := range l.forwards {
		f.Stop()
	}
}

// A copier sends every batch onward before the worker reads it.
type copier struct {
	socket  *udp.Socket
	forward *forward.Forwarder
}

// Read reads a batch and forwards it.
func (c copier) Read(batch []flow.Datagram) (int, error) {
	n, err := c.socket.Read(batch)
	c.forward.Send(batch[:n])
	return n, err
}

// close ends reading; what the kernel holds already is still read.
func (l *listener) close() {
	for _, s := range l.sockets {
		s.Drain()
	}
}

// wait waits for the workers.
func (l *listener) wait() {
	for _, w := range l.workers {
		w.Wait()
	}
	l.discard()
}

// beat is the last turn of the worker that is furthest behind, by the wall clock as
// it is now.
func (l *listener) beat() time.Time {
	var silent time.Duration
	for _, w := range l.workers {
		silent = max(silent, time.Since(w.Beat()))
	}
	return byWall(time.Now().Add(-silent))
}

func (l *listener) allow(prefixes []netip.Prefix) {
	l.allows.Store(intel.NewNetworks(prefixes))
	for _, s := range l.sockets {
		s.SetAllow(prefixes)
	}
}

// ReadTunnels sets which packets inside tunnels are read, by the configuration.
func ReadTunnels(x *decode.Exporters, cfg *configs.Config) {
	ends := intel.NewNetworks(append(cfg.AllHome(), cfg.SFlow.TunnelEndpoints...))
	x.ReadTunnels(cfg.SFlow.Tunnels, ends.Contains)
}

// alwaysAllowed are senders that are listened to unless the configuration says
// otherwise: this host, the wire, and the shared space of carriers.
var alwaysAllowed = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("100.64.0.0/10"),
}

// allowed gives the senders of a listener: what it names itself, else ourselves
// and the home networks. Everybody is allowed only by naming 0.0.0.0/0 and ::/0.
func allowed(own, home []netip.Prefix) []netip.Prefix {
	if own != nil {
		return own
	}
	return append(append([]netip.Prefix(nil), alwaysAllowed...), home...)
}

// nameRefused names each sender that is not listened to, once, and each listener whose
// copies lose the address of their exporter.
func (a *App) nameRefused() {
	for _, l := range a.listeners {
		l.nameUnkept(a.log)
		for _, s := range l.sockets {
			for _, addr := range s.Refused() {
				a.log.Warn("datagrams from a sender that is not allowed; add it to 'allow' of the listener or to 'home'",
					zap.Stringer("sender", addr), zap.Stringer("listener", s.LocalAddr()))
			}
		}
	}
}

// nameUnkept logs once that copies go onward with our address as their source.
func (l *listener) nameUnkept(log *zap.Logger) {
	if l.unkept {
		return
	}
	for _, f := range l.forwards {
		for _, t := range f.Stats() {
			if t.SourceLost > 0 {
				l.unkept = true
				log.Warn("copies carry our own address, so that all exporters are one at the target; "+
					"to keep their addresses the process needs CAP_NET_RAW, and the target the IP version of the exporters",
					zap.String("target", t.Target), zap.Stringer("listener", l.sockets[0].LocalAddr()))
				return
			}
		}
	}
}
