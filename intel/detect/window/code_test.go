package window

import (
	"bytes"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/detect/state"
)

// A counters is one of each.
type counters struct {
	sums     Sums
	distinct Distinct
	track    Track
	pace     Pace
	usual    Usual
}

func (x *counters) code(c *state.Coder) {
	x.sums.Code(c)
	x.distinct.Code(c)
	x.track.Code(c)
	x.pace.Code(c)
	x.usual.Code(c)
}

// use does with counters all that an engine does.
func (x *counters) use(at uint32) {
	const span, seed = 60, 7
	for i := range uint32(600) {
		x.sums.Add(at+i/20, 1<<63, span)
		x.distinct.Add(Value{Lo: uint64(i)}, at+i/20, 1<<31, span, seed)
		x.track.Add(Touch{At: at + i, Port: uint16(i % 300), Protocol: 6}, at)
		x.pace.Add(at+i, 1<<31, 3600)
		x.usual.Note(at+i/20, i, 17, 4)
	}
	x.distinct.AddFolded(9, at, span)
	x.sums.Sum(at, span)
	x.distinct.Count(at, span, 1, 8)
	x.distinct.Values(at, span)
	x.track.Ports(at)
	InStep(&x.track, &x.track, 2, 0, 3600, func(shared, fewest int) bool { return shared >= fewest })
	x.pace.Spread()
	x.usual.Median(at, 4, 28)
}

// FuzzCode: foreign bytes make no counters that cannot be used, and what is read is written
// again as it was.
func FuzzCode(f *testing.F) {
	var x counters
	c := state.Writer(nil)
	x.code(c)
	f.Add(c.Bytes(), uint32(1000))
	x.use(1000)
	c = state.Writer(nil)
	x.code(c)
	f.Add(c.Bytes(), uint32(1<<32-300))
	f.Fuzz(func(t *testing.T, b []byte, at uint32) {
		c := state.Writer(nil) // with the right checksum
		c.Raw(b[:max(len(b)-4, 0)])
		c, err := state.Reader(c.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var x counters
		if x.code(c); c.Err() != nil {
			return
		}
		one := state.Writer(nil)
		x.code(one)
		again, err := state.Reader(one.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var y counters
		y.code(again)
		two := state.Writer(nil)
		if y.code(two); again.Err() != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Error("what was read cannot be written and read again")
		}
		x.use(at)
		if n := len(x.distinct.seen); n > Exact {
			t.Errorf("%d values", n)
		}
	})
}

// TestPaceIsFull: a count of flows that does not fit does not begin at 0 again.
func TestPaceIsFull(t *testing.T) {
	var p Pace
	for i := range uint32(4) {
		p.Add(100+i, 1<<31, 3600)
	}
	if n := p.Flows(); n != 1<<32 {
		t.Errorf("%d flows", n)
	}
}
