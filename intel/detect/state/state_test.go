package state

import (
	"bytes"
	"errors"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A sample has one of everything.
type sample struct {
	a uint64
	b uint32
	c uint16
	d uint8
	e bool
	f float64
	g flow.Addr6
	h string
	i []string
	j [3]byte
}

func (s *sample) code(c *Coder) {
	c.Uint64(&s.a)
	c.Uint32(&s.b)
	c.Uint16(&s.c)
	c.Uint8(&s.d)
	c.Bool(&s.e)
	c.Float64(&s.f)
	c.Address(&s.g)
	c.Text(&s.h)
	List(c, &s.i, 1, func(t *string) { c.Text(t) })
	c.Raw(s.j[:])
	c.Part(func(c *Coder) { c.Uint32(&s.b) })
}

func written(s *sample, before []byte) []byte {
	c := Writer(before)
	s.code(c)
	return c.Bytes()
}

var full = sample{1 << 63, 1<<32 - 1, 1<<16 - 1, 255, true, 1.5, flow.Addr6{Hi: 1, Lo: 2}, "text", []string{"", "two"}, [3]byte{1, 2, 3}}

func TestThereAndBack(t *testing.T) {
	b := written(&full, []byte("before"))[len("before"):]
	c, err := Reader(b)
	if err != nil {
		t.Fatal(err)
	}
	var s sample
	if s.code(c); c.Err() != nil || !bytes.Equal(written(&s, nil), b) {
		t.Errorf("%+v, %v", s, c.Err())
	}
	for i := range b { // each byte flipped, and each cut
		flipped := bytes.Clone(b)
		flipped[i] ^= 1
		if _, err := Reader(flipped); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := Reader(b[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

// TestPart: a part can be skipped, and must be read to its end.
func TestPart(t *testing.T) {
	w, one, two := Writer(nil), uint32(1), uint32(2)
	w.Part(func(c *Coder) { c.Uint32(&one); c.Uint32(&one) })
	w.Uint32(&two)
	for name, part := range map[string]func(*Coder){"skipped": nil, "whole": func(c *Coder) { c.Uint32(&one); c.Uint32(&one) }} {
		c, err := Reader(w.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		c.Part(part)
		if c.Uint32(&two); c.Err() != nil || two != 2 {
			t.Errorf("%s: %v, %d", name, c.Err(), two)
		}
	}
	c, err := Reader(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if c.Part(func(c *Coder) { c.Uint32(&one) }); !errors.Is(c.Err(), ErrDamaged) {
		t.Error("a part that was not read to its end is no error")
	}
}

// FuzzReader: whatever is read is an error or can be written again, and takes no more memory
// than it has bytes.
func FuzzReader(f *testing.F) {
	b := written(&full, nil)
	f.Add(b[:len(b)-4])
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := Writer(nil) // with the right checksum
		w.Raw(b)
		c, err := Reader(w.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var s sample
		s.code(c)
		if len(s.i) > len(b) || len(s.h) > len(b) {
			t.Errorf("%d bytes are %d texts", len(b), len(s.i))
		}
		if c.Err() != nil {
			return
		}
		one := written(&s, nil)
		if c, err = Reader(one); err != nil {
			t.Fatal(err)
		}
		var again sample
		if again.code(c); c.Err() != nil || !bytes.Equal(written(&again, nil), one) {
			t.Error("what was read cannot be written and read again")
		}
	})
}
