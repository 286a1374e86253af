package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"golang.org/x/term"
)

// wrapped gives a writer that breaks lines at blanks, so that they fit the terminal behind
// w; w itself when there is no terminal.
func wrapped(w io.Writer) io.Writer {
	f := terminalOf(w)
	if f == nil {
		return w
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 4*show.Hanging {
		return w // the terminal itself breaks them as well
	}
	return show.Wrapped(w, columns)
}

// terminalOf gives the terminal behind an output, nil if there is none.
func terminalOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// showsColours reports whether w is a terminal that is to show colours.
func showsColours(w io.Writer) bool { return terminalOf(w) != nil && os.Getenv("NO_COLOR") == "" }

// A progress is a line on a terminal that is written again and again; elsewhere it is nothing.
type progress struct {
	terminal io.Writer // nil = none
	next     time.Time
	shown    bool
}

// newProgress makes a progress whose line first appears after a second.
func newProgress(w io.Writer) *progress {
	p := &progress{next: time.Now().Add(time.Second)}
	if terminalOf(w) != nil {
		p.terminal = w
	}
	return p
}

// show writes the line, once a second, and at once where it was cleared.
func (p *progress) show(format string, args ...any) {
	if p.terminal == nil || time.Now().Before(p.next) {
		return
	}
	p.next, p.shown = time.Now().Add(time.Second), true
	fmt.Fprintf(p.terminal, "\r"+format+"\x1b[K", args...)
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.terminal, "\r\x1b[K")
		p.next, p.shown = time.Time{}, false
	}
}
