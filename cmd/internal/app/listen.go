package app

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/observe"
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

// listeners are all addresses that are listened on.
type listeners struct {
	list []*listener

	cfg     *configs.Config
	app     *App                                // whose other components the path goes through
	wrap    func(collect.Source) collect.Source // for tests: what a worker reads; nil = the socket
	quiet   quiet                               // only its chore uses it
	transit transitWatch                        // only the check uses it
	log     *zap.Logger
}

func newListeners(cfg *configs.Config, a *App) *listeners {
	l := &listeners{cfg: cfg, app: a, log: a.log}
	a.contacts.found, a.decoder.decoded = l.found, l.decoded
	l.quiet = quiet{listeners: l, exporters: a.decoder.status, since: a.since, log: a.log}
	a.background.every("the log of silence", often, l.quiet.look)
	a.background.every("the log of refused senders", often, func(time.Time) { l.nameRefused() })
	return l
}

// Register shows and judges the sockets, their workers and the copies.
func (l *listeners) Register(c *observe.Component) {
	c.Add(observe.Printed("listeners", l.status, printListeners), listenerChecks(l.cfg.Health, l.status, l.noteTransit))
}

// Start opens all addresses and starts their workers.
func (l *listeners) Start() error {
	for _, cfg := range l.cfg.Listen {
		cfg.Allow = allowed(cfg.Allow, l.cfg.AllHome())
		one, err := l.open(cfg)
		if err != nil {
			for _, one := range l.list {
				one.discard() // no worker has been started
			}
			return err
		}
		l.list = append(l.list, one)
	}
	l.app.decoder.ran = true
	for _, one := range l.list {
		one.nameForwards(l.log)
		for _, w := range one.workers {
			w.Start()
		}
	}
	return nil
}

// Stop reads what the kernel holds already, closes the sockets and waits for the workers.
func (l *listeners) Stop(context.Context) error {
	for _, one := range l.list {
		one.close()
	}
	for _, one := range l.list {
		one.wait()
	}
	return nil
}

// Reconfigure takes up which senders are allowed.
func (l *listeners) Reconfigure(cfg *configs.Config) error {
	for i, one := range l.list {
		if l.keepsAddress(cfg, i) {
			one.allow(allowed(cfg.Listen[i].Allow, cfg.AllHome()))
		}
	}
	return nil
}

// Takes the allow lists of addresses that stay as they are.
func (l *listeners) Takes(cfg *configs.Config, key string) bool {
	for i := range l.cfg.Listen {
		if key == fmt.Sprintf("listen[%d].allow", i) {
			return l.keepsAddress(cfg, i)
		}
	}
	return false
}

// keepsAddress reports whether a listener has the same place and address in a new
// configuration.
func (l *listeners) keepsAddress(cfg *configs.Config, i int) bool {
	return i < len(cfg.Listen) && cfg.Listen[i].Listen == l.cfg.Listen[i].Listen
}

func (l *listeners) status() (list []ListenerStatus) {
	for i, one := range l.list {
		s := one.status()
		s.Listen = l.cfg.Listen[i].Listen
		list = append(list, s)
	}
	return list
}

// workers are those of all listeners.
func (l *listeners) workers(yield func(*worker) bool) {
	for _, one := range l.list {
		for i := range one.workers {
			if !yield(&one.workers[i]) {
				return
			}
		}
	}
}

// found counts the hits of all matchers.
func (l *listeners) found() (n uint64) {
	for w := range l.workers {
		n += w.matcher.Matched()
	}
	return n
}

// decoded adds up the counters of all decoders.
func (l *listeners) decoded() (d decode.Stats) {
	for w := range l.workers {
		d.Add(w.Decoded())
	}
	return d
}

// noteTransit gives the share of flows within the last hour that have no end of ours.
func (l *listeners) noteTransit(now time.Time) float64 {
	var sampled, transit uint64
	for w := range l.workers {
		c := w.transit.Counts()
		sampled, transit = sampled+c.Sampled, transit+c.Transit
	}
	return l.transit.note(now, sampled, transit)
}

// stalled names a worker that has not turned for longer than limit.
func (l *listeners) stalled(limit time.Duration) string {
	for _, one := range l.list {
		for i, w := range one.workers {
			if time.Since(w.Beat()) > limit {
				return fmt.Sprintf("worker %d of udp %s", i+1, one.sockets[i].LocalAddr())
			}
		}
	}
	return ""
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

func (ls *listeners) open(cfg udp.Config) (*listener, error) {
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
		if ls.wrap != nil {
			src = ls.wrap(src)
		}
		l.workers = append(l.workers, ls.app.newWorker(src, cfg.Batch))
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
	w := worker{matcher: match.NewMatcher(a.store, a.contacts.loop.Gatherer()), transit: match.NewTransit(a.contacts.correlator.Ours)}
	taps := []collect.Tap{w.matcher, w.transit}
	if a.dnsbl.Checker != nil {
		taps = append(taps, match.NewAsking(a.store, a.dnsbl.NewAsker()))
	}
	for _, p := range a.parts {
		if t, ok := p.component.(tapper); ok {
			if tap := t.Tap(); tap != nil {
				taps = append(taps, tap)
			}
		}
	}
	w.Worker = collect.NewWorker(src, a.decoder.exporters, batch, taps...)
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

// alwaysAllowed are senders that are listened to unless the configuration has
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
func (l *listeners) nameRefused() {
	for _, one := range l.list {
		one.nameUnkept(l.log)
		for _, s := range one.sockets {
			for _, addr := range s.Refused() {
				l.log.Warn("datagrams from a sender that is not allowed; add it to 'allow' of the listener or to 'home'",
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
