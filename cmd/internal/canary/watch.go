package canary

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

const (
	// maxOwn is how many canaries of our own are remembered: those that wait for a
	// sink that is away belong to them.
	maxOwn = 4096
	// maxOthers is how many other hosts are listed.
	maxOthers = 100
	// forgetOther is when a host has been silent for so long that another one may
	// have its place.
	forgetOther = 24 * time.Hour
	// forgetStranger is the same for a host that has not come for as long: forged ones
	// must not keep others out for a day.
	forgetStranger = 10 * time.Minute
)

// A key is what a canary carries.
type key struct {
	micros int64
	token  uint16
}

func keyOf(c event.Canary) key { return key{c.Sent.UnixMicro(), c.Token} }

// An own is a canary that we sent.
type own struct {
	sent     time.Time // with the reading of the monotonic clock
	listener string
	seen     bool
	stages   map[string]float64
}

// An other is a host that sends canaries.
type other struct {
	At
	first  time.Time
	latest key // what it sent last
	bucket bucket
}

// isGone reports whether its place may be given to another one.
func (o *other) isGone(now time.Time) bool {
	silent := now.Sub(o.Last)
	return silent > forgetOther || silent > forgetStranger && o.Last.Sub(o.first) < forgetStranger
}

// A Watch knows which canaries are our own, judges all that arrive, and keeps the
// times. Any goroutine may call its methods.
type Watch struct {
	mu     sync.Mutex
	status Status // without others
	own    map[key]*own
	order  []key           // of own, the oldest first
	rounds map[uint16]bool // tokens of our own that became an event
	others map[netip.Addr]*other
	all    bucket
}

// NewWatch makes a watch of a self-test that comes once every so often; 0 = never.
func NewWatch(every time.Duration) *Watch {
	return &Watch{
		status: Status{EverySeconds: every.Seconds(), Listeners: make(map[string]Listener), Sinks: make(map[string]At)},
		own:    make(map[key]*own),
		rounds: make(map[uint16]bool),
		others: make(map[netip.Addr]*other),
	}
}

// Sink makes a sink known that gets canaries.
func (w *Watch) Sink(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Sinks[name] = At{}
}

// Sent notes a canary of our own that goes to a listener, before it does. All of one
// round have one token, and one of them becomes an event.
func (w *Watch) Sent(listener string, c event.Canary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := keyOf(c)
	w.own[k] = &own{sent: c.Sent, listener: listener}
	if w.order = append(w.order, k); len(w.order) > maxOwn {
		delete(w.own, w.order[0])
		w.order = slices.Delete(w.order, 0, 1)
	}
	w.status.Sent++
	w.status.LastSent = c.Sent
	l := w.status.Listeners[listener]
	l.LastSent, l.Trouble = c.Sent, ""
	w.status.Listeners[listener] = l
}

// Trouble notes why no canary can be sent to a listener. It reports whether that is
// news.
func (w *Watch) Trouble(listener, why string) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.status.Listeners[listener]
	news = l.Trouble != why
	l.Trouble = why
	w.status.Listeners[listener] = l
	return news
}

// Judge takes a canary that the correlator has got, and reports whether it is to be an
// event: the first of a round of our own, or one of another host within its limits.
func (w *Watch) Judge(h *lookup.Hit) bool {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.own[keyOf(*h.Canary)]; o != nil && !o.seen {
		return w.ours(o, h, now)
	}
	return w.other(h, now)
}

// ours notes a canary of our own.
func (w *Watch) ours(o *own, h *lookup.Hit, now time.Time) bool {
	o.seen = true
	o.stages = map[string]float64{
		"received":   milliseconds(h.Record.Received.Sub(o.sent)),
		"matched":    milliseconds(h.Canary.Matched.Sub(o.sent)),
		"correlated": milliseconds(now.Sub(o.sent)),
	}
	w.status.Seen++
	w.status.LastSeen = now
	l := w.status.Listeners[o.listener]
	l.LastSeen, l.Milliseconds = now, o.stages["received"]
	w.status.Listeners[o.listener] = l
	if w.rounds[h.Canary.Token] {
		return false
	}
	clear(w.rounds) // one round at a time
	w.rounds[h.Canary.Token] = true
	return true
}

// other notes a canary of another host, or one of ours that has come twice.
func (w *Watch) other(h *lookup.Hit, now time.Time) bool {
	if w.own[keyOf(*h.Canary)] != nil {
		w.status.Limited++
		return false
	}
	o := w.host(h.Record.Exporter.Addr, now)
	if o == nil {
		w.status.OthersOverCap++
		return false
	}
	twice := o.latest == keyOf(*h.Canary)
	o.latest = keyOf(*h.Canary)
	o.At = At{Last: now, Milliseconds: milliseconds(h.Record.Received.Sub(h.Canary.Sent))}
	if twice || o.bucket.full(now, hostRate, hostBurst) || w.all.full(now, allRate, allBurst) {
		w.status.Limited++
		return false
	}
	o.bucket.take()
	w.all.take()
	return true
}

// host gives the entry of a host, nil when there is no room for another one.
func (w *Watch) host(a netip.Addr, now time.Time) *other {
	if o := w.others[a]; o != nil {
		return o
	}
	if len(w.others) >= maxOthers {
		maps.DeleteFunc(w.others, func(_ netip.Addr, o *other) bool { return o.isGone(now) })
	}
	if len(w.others) >= maxOthers {
		return nil
	}
	o := &other{first: now}
	w.others[a] = o
	return o
}

// Journaled takes events that the journal has just taken.
func (w *Watch) Journaled(events []event.Event) {
	for i := range events {
		if events[i].Kind == event.KindCanary {
			w.journaled(events[i].Canary(), time.Now())
		}
	}
}

func (w *Watch) journaled(c event.Canary, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.own[keyOf(c)]; o != nil {
		o.stages["journal"] = milliseconds(now.Sub(o.sent))
		w.status.Stages = o.stages
	}
}

// Delivered takes a canary that a sink has delivered at a time.
func (w *Watch) Delivered(sink string, c event.Canary, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.own[keyOf(c)]
	if o == nil {
		return // of another host, or of the run before
	}
	w.status.Sinks[sink] = At{Last: at, Milliseconds: milliseconds(at.Sub(o.sent))}
}

// Status gives all that is known.
func (w *Watch) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Stages, s.Sinks, s.Listeners = maps.Clone(s.Stages), maps.Clone(s.Sinks), maps.Clone(s.Listeners)
	s.Others = make(map[string]At, len(w.others))
	for a, o := range w.others {
		s.Others[a.String()] = o.At
	}
	return s
}
