package decode_test

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// TestHandlerHoldsNoLock: while a handler works, others see the state of the exporter,
// also when the handler has read records and columns.
func TestHandlerHoldsNoLock(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			x := decode.NewExporters(decode.DefaultLimits())
			sets := 0
			d := decode.New(x, handlerFunc(func(s *decode.Set) {
				sets++
				var r flow.Record
				s.Record(0, &r) // looks for its rate in the state, and leaves it
				s.Columns(decode.WantAll)
				done := make(chan struct{})
				go func() {
					x.Snapshot()
					x.Stats()
					close(done)
				}()
				select {
				case <-done:
				case <-time.After(10 * time.Second):
					t.Error("the lock of the exporter is held")
				}
			}))
			templates, data, _ := madeData(t, v, map[bool]float64{true: 0, false: 0.3}[v == flow.V5])
			for _, p := range [][]byte{data, templates, data} { // the first one waits for its template
				if len(p) > 0 {
					d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
				}
			}
			if sets < 2 {
				t.Errorf("%d sets", sets)
			}
		})
	}
}

// TestOneSetForADatagram: the data sets of a datagram come as one, whatever templates they
// have, and what has waited for a template comes apart, with the times of its own.
func TestOneSetForADatagram(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		type got struct {
			records int
			at      time.Time
		}
		var all []got
		d := decode.New(decode.NewExporters(decode.DefaultLimits()), handlerFunc(func(s *decode.Set) {
			columnRows(t, s) // each address has its row
			all = append(all, got{s.Len(), s.Received()})
		}))
		templates, data, flows := madeData(t, v, 0.5)
		for i, p := range [][]byte{data, templates, data} {
			d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime.Add(time.Duration(i) * time.Second)})
		}
		waited := 0
		for _, g := range all[:len(all)-1] {
			waited += g.records
			if !g.at.Equal(exportTime) {
				t.Errorf("received at %v, want %v", g.at, exportTime)
			}
		}
		if last := all[len(all)-1]; waited != flows || last.records != flows || !last.at.Equal(exportTime.Add(2*time.Second)) {
			t.Errorf("%d records had waited, then %v; want %d and as many", waited, last, flows)
		}
	})
}

// TestPanicOfAHandler: nothing of a datagram whose handler has panicked comes with a later
// one.
func TestPanicOfAHandler(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			records, broken := 0, true
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), handlerFunc(func(s *decode.Set) {
				if broken {
					panic("broken")
				}
				records += s.Len()
			}))
			templates, data, flows := madeData(t, v, 0)
			send := func(p []byte) {
				defer func() { _ = recover() }()
				d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
			}
			send(templates)
			send(data)
			broken = false
			send(data[:6]) // ends early
			if send(data); records != flows {
				t.Errorf("%d records, want %d", records, flows)
			}
		})
	}
}
