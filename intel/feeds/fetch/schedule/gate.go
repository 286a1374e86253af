package schedule

import (
	"context"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
)

const (
	maxFetches = 4 // at a time
	// slotTime is how long a fetch by schedule keeps others waiting: a slow source goes on
	// beside them.
	slotTime = 15 * time.Second
)

// A Gate bounds how many fetches are under way at a time: maxFetches in all, and one per
// host, with a pause before the next. Whoever waits for a host holds no slot meanwhile, so
// that many slow lists of one provider do not delay other providers.
type Gate struct {
	slots chan struct{}
	pause time.Duration // between two fetches from one host

	mu    sync.Mutex
	hosts map[string]chan struct{}
}

// NewGate makes a gate.
func NewGate() *Gate {
	return &Gate{slots: make(chan struct{}, maxFetches), pause: client.BetweenRequests, hosts: make(map[string]chan struct{})}
}

// Enter waits for the slot of the host, then for one of all. leave, which may be called
// twice, gives them back; it is called by itself after slotTime, so that a slow source goes
// on beside others. The error is that of the context.
func (g *Gate) Enter(ctx context.Context, host string) (leave func(), err error) {
	own := g.host(host)
	select {
	case own <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		<-own
		return nil, context.Cause(ctx)
	}
	free := sync.OnceFunc(func() {
		<-g.slots
		time.AfterFunc(g.pause, func() { <-own })
	})
	early := time.AfterFunc(slotTime, free)
	return func() { early.Stop(); free() }, nil
}

// host gives the slot of a host.
func (g *Gate) host(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hosts[name] == nil {
		g.hosts[name] = make(chan struct{}, 1)
	}
	return g.hosts[name]
}
