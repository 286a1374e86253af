package main

import (
	"io"
	"os"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"golang.org/x/term"
)

// wrapped gives a writer that breaks lines at blanks, so that they fit the terminal behind
// w; w itself when there is no terminal.
func wrapped(w io.Writer) io.Writer {
	f := fileOf(w)
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return w
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 4*show.Hanging {
		return w // the terminal itself breaks them as well
	}
	return show.Wrapped(w, columns)
}

// fileOf gives the file behind an output, nil if there is none.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, _ := w.(*os.File)
	return f
}
