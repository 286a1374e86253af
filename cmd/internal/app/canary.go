package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/match"
	"go.uber.org/zap"
)

// A selfTest sends canaries, and watches how far they come.
type selfTest struct {
	passive
	*canary.Watch
	every     time.Duration
	listeners *listeners
	loop      *queue.Loop
	since     time.Time // of the instance
	log       *zap.Logger
}

func newSelfTest(a *App, w *canary.Watch) *selfTest {
	t := &selfTest{Watch: w, every: a.cfg.Canary.Every, listeners: a.listeners, loop: a.contacts.loop, since: a.since, log: a.log}
	a.background.add(t.run)
	return t
}

// Register shows and judges the self-test.
func (t *selfTest) Register(c *observe.Component) {
	c.Add(observe.Printed("canary", t.status, printCanary), canaryCheck(t.status, func() time.Time { return t.since }))
}

// run sends a canary to every listener, once every so often, until ctx ends. They go
// through the sockets as those of all exporters do. All of a round have one token, which
// nobody can foretell. The first one waits as the others do: 'flowsnitch canary' asks at
// once, and who counts what a fresh instance gets counts exporters.
func (t *selfTest) run(ctx context.Context) {
	if t.every <= 0 {
		return
	}
	senders := make([]*canary.Sender, len(t.listeners.list))
	defer func() {
		for _, s := range senders {
			if s != nil {
				_ = s.Close() // nothing waits in it
			}
		}
	}()
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		token := uint16(rand.Uint32())
		for i, l := range t.listeners.list {
			senders[i] = t.send(i, l, senders[i], token)
		}
	}
}

// send sends a canary to one listener, and gives the sender for the next one. It
// reports why none can be sent, once.
func (t *selfTest) send(i int, l *listener, s *canary.Sender, token uint16) *canary.Sender {
	at := l.sockets[0].LocalAddr()
	err := error(nil)
	if s == nil {
		s, err = canary.Dial(SelfAddress(at, t.listeners.cfg.Listen[i].Listen), flow.IPFIX, canary.DomainTest+uint32(i))
	}
	if err == nil && !l.allows.Load().Contains(s.Source()) {
		err = fmt.Errorf("refused: the listener does not allow %s; add it to 'allow'", s.Source())
	}
	if err == nil {
		c := canary.New(token)
		t.Sent(at.String(), c)
		err = s.Send(c)
	}
	if err == nil {
		return s
	}
	if t.Trouble(at.String(), err.Error()) {
		t.log.Warn("the self-test does not reach a listener", zap.Stringer("listener", at), zap.Error(err))
	}
	if s != nil {
		_ = s.Close()
	}
	return nil
}

// SelfAddress gives the address at which this host itself reaches a listener that is
// bound to at; listen is how the configuration names it. An empty host there stands
// for both families.
func SelfAddress(at netip.AddrPort, listen string) string {
	host := at.Addr()
	switch {
	case !host.IsUnspecified():
	case host.Is4() || strings.HasPrefix(listen, ":"):
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		host = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(host, at.Port()).String()
}

// status gathers what the watch and those before it in the way have counted.
func (t *selfTest) status() canary.Status {
	s := t.Status()
	var found match.CanaryCounts
	for w := range t.listeners.workers {
		found.Add(w.matcher.Canaries())
	}
	s.Limited += found.OverCap
	s.Malformed = found.Malformed
	s.Queue = t.loop.Stats().CanariesLost
	s.SetAges(time.Now(), t.since)
	return s
}

// canaryCheck looks how far behind the self-test is: at which listener, at which sink. A
// missing one counts from the start of the instance.
func canaryCheck(status func() canary.Status, since func() time.Time) observe.Check {
	return observe.Check{Name: "canary", State: func(now time.Time) observe.Finding {
		c := status()
		f := finding{observe.Finding{Unit: "s", Warning: c.EverySeconds + canaryGrace, Critical: canaryCritical*c.EverySeconds + canaryGrace}}
		if c.EverySeconds == 0 {
			f.Otherwise("no self-test is configured (canary.every)")
			return f.Finding
		}
		look := func(last time.Time, name, format string) {
			if last.IsZero() {
				last = since()
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
				f.Warn(l, "no self-test can be sent to udp %s (%s)", l, why)
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
		return f.Finding
	}}
}

// printCanary prints how far canaries came, if there were any.
func printCanary(w io.Writer, c canary.Status, _ bool) {
	if c.EverySeconds > 0 {
		fmt.Fprintf(w, "canary     one every %s: %d sent, %d seen", time.Duration(c.EverySeconds*float64(time.Second)), c.Sent, c.Seen)
		if c.Stages != nil {
			fmt.Fprintf(w, "; the last %s ago", time.Since(c.LastSeen).Round(time.Second))
			for _, stage := range []string{"received", "matched", "correlated", "journal"} {
				fmt.Fprintf(w, ", %s %.3f ms", stage, c.Stages[stage])
			}
		}
		fmt.Fprintln(w)
		for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
			if why := c.Listeners[name].Trouble; why != "" {
				fmt.Fprintf(w, "canary     udp %s: %s\n", name, why)
			}
		}
		printArrivals(w, "at %s", c.Sinks)
	}
	printArrivals(w, "from %s", c.Others)
	if n := c.Limited + c.Queue + c.OthersOverCap + c.Malformed; n > 0 {
		fmt.Fprintf(w, "canary     ignored: %d over the limit or duplicate, %d for a full queue, %d of too many hosts, %d malformed\n",
			c.Limited, c.Queue, c.OthersOverCap, c.Malformed)
	}
}

func printArrivals(w io.Writer, format string, at map[string]canary.At) {
	for _, name := range slices.Sorted(maps.Keys(at)) {
		a := at[name]
		line := "none yet"
		if !a.Last.IsZero() {
			line = fmt.Sprintf("%s ago, after %.3f ms", time.Since(a.Last).Round(time.Second), a.Milliseconds)
		}
		fmt.Fprintf(w, "canary     "+format+": %s\n", strings.TrimSpace(name), line)
	}
}
