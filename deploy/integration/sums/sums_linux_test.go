//go:build integration || soak

package sums

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// A day is what happens to the collector while exporters send.
type day struct {
	name   string
	buffer int  // of the sockets
	drops  bool // whether the kernel must have dropped something
	happen func(t *testing.T, c *collector, f fleet)
}

var days = []day{
	{"calm", 8 << 20, false, calm},
	{"small buffer", 4096, true, flood},
	{"stalled", 64 << 10, true, stall},
}

// calm loses some datagrams on the way, in runs of several lengths. What is sent in all
// would fit into the receive buffer.
func calm(t *testing.T, _ *collector, f fleet) {
	f.each(func(e *exporter) {
		for i := range calmDatagrams / 30 {
			e.send(t, 30)
			e.skip(i % 4)
			time.Sleep(time.Millisecond)
		}
	})
}

// flood sends as fast as it can.
func flood(t *testing.T, _ *collector, f fleet) {
	f.each(func(e *exporter) { e.send(t, floodDatagrams) })
}

// stall sends while the process stands still, and before and after that.
func stall(t *testing.T, c *collector, f fleet) {
	f.each(func(e *exporter) { e.send(t, calmDatagrams) })
	c.signal(t, syscall.SIGSTOP)
	f.each(func(e *exporter) { e.send(t, floodDatagrams/4) })
	c.signal(t, syscall.SIGCONT)
	f.each(func(e *exporter) { e.send(t, calmDatagrams) })
}

// TestSums: whatever happens, every datagram and every flow is counted once.
func TestSums(t *testing.T) {
	for _, d := range days {
		for _, sockets := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s/%d sockets", d.name, sockets), func(t *testing.T) { d.run(t, sockets) })
		}
	}
}

func (d day) run(t *testing.T, sockets int) {
	site := newSite(t, options{sockets: sockets, buffer: d.buffer})
	c := site.start(t)
	f := newFleet(t, 2, site.target)
	f.begin(t, c)
	d.happen(t, c, f)
	f.trickle(t, c)
	refused := knock(t, c, f)
	sent := f.sent() + refused

	st := c.settle(t, sent)
	l := st.Listeners[0]
	if d.drops != (l.KernelDrops > 0) {
		t.Errorf("the kernel dropped %d datagrams with a buffer of %d bytes", l.KernelDrops, l.BufferGranted)
	}
	if l.Refused != refused {
		t.Errorf("%d datagrams refused, want %d", l.Refused, refused)
	}
	for _, e := range f {
		e.check(t, st)
	}
	c.stop(t).agrees(t, st)
	t.Logf("%d datagrams sent: %d received, %d dropped, %d refused", sent, l.Datagrams, l.KernelDrops, l.Refused)
}

// knock sends as somebody who is not listened to, and gives the number of datagrams.
func knock(t *testing.T, c *collector, f fleet) uint64 {
	t.Helper()
	e := newExporter(t, f[0].version, stranger, c.target)
	for range 3 {
		e.send(t, 1)
		c.settle(t, f.sent()+e.sent)
	}
	return e.sent
}
