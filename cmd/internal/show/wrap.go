package show

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// Hanging is the indentation of what continues a line: lines begin with a word in a column
// of that width.
const Hanging = 11

// Wrapped gives a writer that breaks lines at blanks, so that they have so many columns at
// most.
func Wrapped(w io.Writer, columns int) io.Writer { return &wrapper{w: w, columns: columns} }

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
		for _, part := range WrapLine(strings.TrimSuffix(line, "\n"), w.columns, Hanging) {
			out.WriteString(part + "\n")
		}
	}
	w.begun = w.begun[:copy(w.begun, w.begun[end:])]
	if _, err := io.WriteString(w.w, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WrapLine breaks a line at blanks into parts of so many columns, all but the first of
// them indented. A word that is longer stays whole.
func WrapLine(line string, columns, indent int) []string {
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
