package decode_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A session is one of several exporters behind one address: its port, its template 300
// and the number of what it sends next.
type session struct {
	b      *bench
	v      flow.Version
	port   uint16
	fields []fld
	value  []byte
	src    string
	seq    uint32
}

// sessions makes sessions whose templates differ in the order of their fields.
func sessions(b *bench, v flow.Version, n int) (out []*session) {
	one, two := []fld{ends[0], ends[1], {ie: 1, len: 4}}, []fld{{ie: 1, len: 4}, ends[0], ends[1]}
	three := []fld{ends[1], {ie: 1, len: 4}, ends[0], {ie: 2, len: 4}} // longer
	for i := range n {
		src := fmt.Sprintf("192.0.2.%d", 10+i)
		p := &session{b: b, v: v, port: uint16(50001 + i), src: src, seq: uint32(1000 + 500_000*i)}
		switch i % 3 {
		case 0:
			p.fields, p.value = one, cat(ip(src), ip("203.0.113.9"), u32(1000))
		case 1:
			p.fields, p.value = two, cat(u32(1000), ip(src), ip("203.0.113.9"))
		default:
			p.fields, p.value = three, cat(ip("203.0.113.9"), u32(1000), ip(src), u32(1))
		}
		out = append(out, p)
	}
	return out
}

func (p *session) send(sets ...[]byte) {
	p.b.src = addrPort(fmt.Sprintf("192.0.2.1:%d", p.port))
	p.b.send(message(p.v, p.seq, sets...))
	p.seq++
}

func (p *session) template() { p.send(templateSet(p.v, template(300, p.fields...))) }
func (p *session) data()     { p.send(set(300, p.value)) }

// right checks what has come: records of these processes, in order.
func right(t *testing.T, b *bench, what string, from ...*session) {
	t.Helper()
	rs := b.take()
	if len(rs) != len(from) {
		t.Fatalf("%s: %d records, want %d", what, len(rs), len(from))
	}
	for i, p := range from {
		if r := &rs[i]; r.Src.String() != p.src || r.Dst.String() != "203.0.113.9" || r.Bytes != 1000 || r.Exporter.Port != p.port {
			t.Errorf("%s: record %d is %v > %v, %d bytes, want it from %s", what, i, r.Src, r.Dst, r.Bytes, p.src)
		}
	}
}

// TestProcessesBehindOneAddress: each record is read by its own process's template, in
// whatever order things come.
func TestProcessesBehindOneAddress(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for n := 2; n <= 5; n++ {
			b := newBench(t)
			all := sessions(b, v, n)
			for _, p := range all {
				p.template()
			}
			for round := range 6 {
				for _, p := range all {
					p.data()
				}
				right(t, b, fmt.Sprint("round ", round), all...)
				if round%2 == 1 {
					for i := range all {
						all[n-1-i].template()
					}
				}
			}
			b.problems(nil)
			x := restarted(t, b)
			b.x, b.d = x, decode.New(x, b)
			for _, p := range all {
				p.data()
			}
			right(t, b, "after a restart of ours", all...)
		}
	})
}

// TestProcessesDataFirst: data of two processes waits for the template of its own.
func TestProcessesDataFirst(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		ps := sessions(b, v, 2)
		ps[0].data()
		ps[1].data()
		ps[0].template()
		right(t, b, "the first template", ps[0])
		ps[1].template()
		right(t, b, "the second template", ps[1])
		ps[1].data()
		ps[0].data()
		right(t, b, "then", ps[1], ps[0])
	})
}

// TestSameMeaningThenAnother: two processes mean the same until one of them changes.
func TestSameMeaningThenAnother(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for _, later := range []int{0, 1} {
			b := newBench(t)
			ps := sessions(b, v, 2)
			was := *ps[later]
			ps[later].fields, ps[later].value = ps[1-later].fields, cat(ps[1-later].value)
			ps[later].src = ps[1-later].src
			ps[0].template()
			ps[1].template()
			ps[0].data()
			ps[1].data()
			right(t, b, "alike", ps...)
			ps[later].fields, ps[later].value, ps[later].src = was.fields, was.value, was.src
			ps[later].template()
			ps[0].data()
			ps[1].data()
			right(t, b, "one has changed", ps...)
		}
	})
}

// TestSplitWithinAMessage: the records before the template that splits an exporter belong
// to the stream whose templates they were read by, those behind it to the new one.
func TestSplitWithinAMessage(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		ps := sessions(b, v, 2)
		ps[0].send(templateSet(v, template(300, ps[0].fields...), template(301, ends...)))
		ps[1].send(templateSet(v, template(301, ends...)))
		for range 3 {
			for _, p := range ps {
				p.seq += 100 // ports whose numbers go on would split it before
				p.send(set(301, pairAB))
			}
		}
		ps[1].send(set(301, pairAB, pairAB), templateSet(v, template(300, ps[1].fields...)), set(300, ps[1].value))
		if n := len(b.take()); n != 9 {
			t.Errorf("%d records, want 9", n)
		}
		records := map[uint16]uint64{}
		for _, s := range b.x.Snapshot()[0].Streams {
			records[s.Port] = s.Records
		}
		if want := map[uint16]uint64{0: 8, ps[1].port: 1}; !maps.Equal(records, want) {
			t.Errorf("records by port of the stream %v, want %v", records, want)
		}
	})
}

// TestRestartOnAnotherPort: a process that restarts uses its old template until it sends
// one, and then that, also when it means something else.
func TestRestartOnAnotherPort(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		ps := sessions(b, v, 2)
		p, other := ps[0], ps[1]
		p.template()
		p.data()
		p.port, p.seq = 50010, 0
		p.data()
		p.template()
		p.data()
		right(t, b, "restarted", &session{src: p.src, port: 50001}, p, p)
		p.port, p.seq, p.fields, p.value, p.src = 50011, 0, other.fields, other.value, other.src
		p.template()
		p.data()
		right(t, b, "with another template", p)
		p.port, p.seq = 50012, 0
		p.data()
		right(t, b, "and again", p)
		if b.x.Snapshot()[0].Split {
			t.Error("restarts are taken for several processes")
		}
	})
}

// TestProcessesRestartInTurn: of two processes that are known to be two, one restarts and
// sends data first: what only one of them has ever sent is known, what they contradict each
// other in waits.
func TestProcessesRestartInTurn(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		ps := sessions(b, v, 2)
		ps[0].send(templateSet(v, template(300, ps[0].fields...), template(301, ends...)))
		ps[1].template()
		for range 3 {
			ps[0].data()
			ps[1].data()
		}
		right(t, b, "alive", ps[0], ps[1], ps[0], ps[1], ps[0], ps[1])
		if !b.x.Snapshot()[0].Split {
			t.Error("not told apart")
		}
		ps[0].port, ps[0].seq = 50010, 0
		ps[0].send(set(301, pairAB))
		if rs := b.take(); len(rs) != 1 || rs[0].Src.String() != "192.0.2.10" {
			t.Errorf("301 after the restart: %v", rs)
		}
		ps[0].data()
		right(t, b, "300 after the restart")
		ps[0].template()
		right(t, b, "with its template", ps[0])
		ps[1].data()
		right(t, b, "the other", ps[1])
		ps[1].port, ps[1].seq = 50011, 0
		ps[1].template()
		ps[1].data()
		ps[0].data()
		right(t, b, "the other has restarted", ps[1], ps[0])
	})
}

// TestForgedTemplate: a template from another port does not change what a port means.
func TestForgedTemplate(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		ps := sessions(b, v, 2)
		ps[0].template()
		ps[0].data()
		for i := range 40 {
			ps[1].port = uint16(10_000 + i)
			ps[1].send(templateSet(v, template(300, fld{ie: 1, len: uint16(1 + i%8)}, ps[1].fields[1])))
			ps[0].data()
		}
		if n := len(b.take()); n != 41 {
			t.Errorf("%d records, want 41", n)
		}
		if s := b.x.Stats(); s.Templates > 200 {
			t.Errorf("%d templates are kept", s.Templates)
		}
	})
}
