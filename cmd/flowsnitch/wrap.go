package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// hanging is the indentation of what continues a line: lines begin with a word in a column
// of that width.
const hanging = 11

// wrapped gives a writer that breaks lines at blanks, so that they fit the terminal behind
// w; w itself when there is no terminal.
func wrapped(w io.Writer) io.Writer {
	f := fileOf(w)
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return w
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 4*hanging {
		return w // the terminal itself breaks them as well
	}
	return &wrapper{w: w, columns: columns}
}

// fileOf gives the file behind an output, nil if there is none.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, _ := w.(*os.File)
	return f
}

// A wrapper breaks lines. What is not a whole line waits for its end.
type wrapper struct {
	w       io.Writer
	columns int
	begun   []byte
}

// Write writes the lines that p ends.
func (w *wrapper) Write(p []byte) (int, error) {
	w.begun = append(w.begun, p...)
	end := bytes.LastIndexByte(w.begun, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	var out strings.Builder
	for line := range strings.Lines(string(w.begun[:end])) {
		for _, part := range wrapLine(strings.TrimSuffix(line, "\n"), w.columns, hanging) {
			out.WriteString(part + "\n")
		}
	}
	w.begun = w.begun[:copy(w.begun, w.begun[end:])]
	if _, err := io.WriteString(w.w, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// wrapLine breaks a line at blanks into parts of so many columns, all but the first of
// them indented. A word that is longer stays whole.
func wrapLine(line string, columns, indent int) []string {
	var parts []string
	for utf8.RuneCountInString(line) > columns {
		blank := breakBefore(line, columns, indent)
		if blank < 0 {
			break
		}
		parts = append(parts, line[:blank])
		line = strings.Repeat(" ", indent) + line[blank+1:]
	}
	return append(parts, line)
}

// breakBefore gives the last blank behind the indentation that leaves at most so many
// columns before it, else the first one; -1 if there is none.
func breakBefore(line string, columns, indent int) int {
	blank, column := -1, 0
	for i, r := range line {
		if r == ' ' && column > indent && (column <= columns || blank < 0) {
			blank = i
		}
		if column >= columns && blank >= 0 {
			break
		}
		column++
	}
	return blank
}
