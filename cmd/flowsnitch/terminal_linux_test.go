package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminals makes a pseudo terminal: what is written to the second comes out of the first.
func terminals(t *testing.T) (outer, inner *os.File) {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outer.Close() })
	fd := int(outer.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inner, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", uint32(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	return outer, inner
}

// TestTerminalWithoutColours: NO_COLOR takes the colours from a terminal, and nothing else:
// the progress of long work, and that foreign text is made printable.
func TestTerminalWithoutColours(t *testing.T) {
	outer, inner := terminals(t)
	out := &output{w: inner}
	for _, no := range []string{"", "1"} {
		t.Setenv("NO_COLOR", no)
		if terminalOf(out) != inner || terminalOf(inner) != inner || showsColours(out) != (no == "") {
			t.Errorf("NO_COLOR=%q: terminal %v, colours %v", no, terminalOf(out) == inner, showsColours(out))
		}
	}
	if w := new(bytes.Buffer); terminalOf(w) != nil || terminalOf(&output{w: w}) != nil || showsColours(w) {
		t.Error("a buffer is taken for a terminal")
	}
	p := newProgress(out)
	p.show("too early")
	p.clear()
	p.next = p.next.Add(-2e9)
	for n := range 3 { // the second within the same second, the third behind a clear
		p.show("searched %d of %d", n, 3)
		if n == 1 {
			p.clear()
		}
	}
	const want = "\rsearched 0 of 3\x1b[K\r\x1b[K\rsearched 2 of 3\x1b[K"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(outer, got); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	quiet := newProgress(new(bytes.Buffer))
	quiet.next = quiet.next.Add(-2e9)
	if quiet.show("nothing"); quiet.shown {
		t.Error("progress without a terminal")
	}
}
