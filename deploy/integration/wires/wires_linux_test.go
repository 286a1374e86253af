//go:build integration

package wires

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWires has an instance for each wire. All wires are pulled together, as most of the
// time is spent waiting.
func TestWires(t *testing.T) {
	wires := []*wire{newExporter(t), newTemplate(t), newFeed(t), newBroker(t), newDisk(t)}
	for _, w := range wires {
		w.until(t, "all is well", w.well)
	}
	for _, w := range wires {
		w.mark = len(w.Log())
		w.pull(t)
	}
	pulled := time.Now()
	for _, w := range wires {
		w.until(t, "its cause is named", w.named)
		t.Logf("%s: named by all four within %s", w.name, time.Since(pulled).Round(time.Second))
		w.onlyItself(t)
		w.mend(t)
	}
	for _, w := range wires {
		w.until(t, "all is OK again", w.well)
		w.recovers(t)
	}
}

// newExporter is an exporter that stops.
func newExporter(t *testing.T) *wire {
	w := newWire(t, "exporter", "exporters", "silent: 127.0.0.1 for ", "")
	e := w.sender(t)
	stop := e.Every(t, time.Second, e.Data)
	w.pull = func(*testing.T) { stop() }
	w.mend = func(t *testing.T) { e.Every(t, time.Second, e.Data) }
	return w
}

// newTemplate is an exporter that goes on with a template that it has never sent, as after
// a restart whose first datagrams got lost.
func newTemplate(t *testing.T) *wire {
	w := newWire(t, "template", "templates", "data sets came without their template (127.0.0.1)", "")
	e := w.sender(t)
	stop := e.Every(t, time.Second, e.Data)
	w.pull = func(t *testing.T) {
		stop()
		e = w.sender(t) // another source ID: the template of the first is not its own
		stop = e.Every(t, time.Second, e.Bare)
	}
	w.mend = func(t *testing.T) {
		stop()
		e.Every(t, time.Second, e.Data)
	}
	return w
}

// newFeed is a feed whose provider has only errors.
func newFeed(t *testing.T) *wire {
	p := newProvider(t)
	w := newWire(t, "feed", "feeds", "bad is ", fmt.Sprintf("intel: {feeds: [{name: bad, url: %q, format: plain, interval: 10s}]}", p.url))
	e := w.sender(t)
	e.Every(t, time.Second, e.Data)
	w.pull = func(*testing.T) { p.broken.Store(true) }
	w.mend = func(*testing.T) { p.broken.Store(false) }
	return w
}

// newBroker is a Kafka that goes down.
func newBroker(t *testing.T) *wire {
	b := startBroker(t)
	w := newWire(t, "broker", "sinks", "broker not reachable", fmt.Sprintf("sinks: [{jsonlog: {}}, {kafka: {brokers: [\"127.0.0.1:%d\"]}}]", b.port))
	e := w.sender(t)
	e.Every(t, time.Second, e.Data)
	w.pull = func(*testing.T) { b.stop() }
	w.mend = func(t *testing.T) { b.start(t) }
	return w
}

// newDisk is a hit log whose disk is full.
func newDisk(t *testing.T) *wire {
	dir := mountSmall(t)
	w := newWire(t, "disk", "sinks", "no space left on device", fmt.Sprintf("sinks: [{jsonlog: {path: %s}}]", filepath.Join(dir, "hits.json")))
	e := w.sender(t)
	e.Every(t, time.Second, e.Data)
	big := filepath.Join(dir, "big")
	w.pull = func(t *testing.T) { fill(t, big) }
	w.mend = func(t *testing.T) {
		if err := os.Remove(big); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
