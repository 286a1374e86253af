package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/match"
	"go.uber.org/zap"
)

// selfTest sends a canary to every listener, once every so often, until ctx ends. They go
// through the sockets as those of all exporters do. All of a round have one token, which
// nobody can foretell. The first one waits as the others do: 'flowsnitch canary' asks at
// once, and who counts what a fresh instance gets counts exporters.
func (a *App) selfTest(ctx context.Context) {
	if a.cfg.Canary.Every <= 0 {
		return
	}
	senders := make([]*canary.Sender, len(a.listeners))
	defer func() {
		for _, s := range senders {
			if s != nil {
				_ = s.Close() // nothing waits in it
			}
		}
	}()
	tick := time.NewTicker(a.cfg.Canary.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		token := uint16(rand.Uint32())
		for i, l := range a.listeners {
			senders[i] = a.sendCanary(i, l, senders[i], token)
		}
	}
}

// sendCanary sends a canary to one listener, and gives the sender for the next one. It
// tells why none can be sent, once.
func (a *App) sendCanary(i int, l *listener, s *canary.Sender, token uint16) *canary.Sender {
	at := l.sockets[0].LocalAddr()
	err := error(nil)
	if s == nil {
		s, err = canary.Dial(SelfAddress(at, a.cfg.Listen[i].Listen), flow.IPFIX, canary.DomainTest+uint32(i))
	}
	if err == nil && !l.allows.Load().Contains(s.Source()) {
		err = fmt.Errorf("refused: the listener does not allow %s; add it to 'allow'", s.Source())
	}
	if err == nil {
		c := canary.New(token)
		a.canaries.Sent(at.String(), c)
		err = s.Send(c)
	}
	if err == nil {
		return s
	}
	if a.canaries.Trouble(at.String(), err.Error()) {
		a.log.Warn("the self-test does not reach a listener", zap.Stringer("listener", at), zap.Error(err))
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

// canaryStatus gathers what the watch and those before it in the way have counted.
func (a *App) canaryStatus() CanaryStatus {
	s := a.canaries.Status()
	var found match.CanaryCounts
	for _, l := range a.listeners {
		for _, w := range l.workers {
			found.Add(w.matcher.Canaries())
		}
	}
	s.Limited += found.OverCap
	s.Shapeless = found.Shapeless
	s.Queue = a.loop.Stats().CanariesLost
	s.SetAges(time.Now(), a.since)
	return s
}
