package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// What a configuration may have at most. The YAML library takes memory and time by the
// square of depth and of the number of keys in one block, so that this is looked at before.
const (
	maxBytes = 1 << 20
	maxDepth = 64     // blocks and lists within each other
	maxKeys  = 1000   // in one block
	maxItems = 50_000 // lines and commas
)

// readFile reads a configuration, as far as one may be long.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// checkSize finds out whether a document is too large to be parsed. It judges by the
// layout of the lines alone: brackets in texts count too, as nobody has that many.
func checkSize(b []byte) *Error {
	if len(b) > maxBytes {
		return &Error{Err: fmt.Errorf("has more than %d bytes, which is the most a configuration may have; put long lists of prefixes into files of their own", maxBytes)}
	}
	tooDeep := fmt.Errorf("more than %d blocks or lists within each other", maxDepth)
	type block struct{ indent, keys int }
	var open []block
	brackets, number, items := 0, 0, 0
	for line := range bytes.Lines(b) {
		number++
		rest := bytes.TrimLeft(line, " ")
		indent := len(line) - len(rest)
		if content := bytes.TrimSpace(rest); len(content) == 0 || content[0] == '#' {
			continue
		}
		if items += 1 + bytes.Count(rest, []byte(",")); items > maxItems {
			return &Error{Line: number, Column: 1, Err: fmt.Errorf("more than %d keys and entries of lists; put long lists of prefixes into files of their own", maxItems)}
		}
		dashes := 0
		for bytes.HasPrefix(rest, []byte("- ")) {
			dashes, rest = dashes+1, bytes.TrimLeft(rest[2:], " ")
		}
		for len(open) > 0 && open[len(open)-1].indent > indent {
			open = open[:len(open)-1]
		}
		if len(open) == 0 || open[len(open)-1].indent < indent {
			open = append(open, block{indent: indent})
		}
		last := &open[len(open)-1]
		if last.keys++; dashes > 0 {
			last.keys = 0 // each entry of a list is a block of its own
		}
		if last.keys > maxKeys && brackets == 0 && isKey(rest) {
			return &Error{Line: number, Column: 1, Err: fmt.Errorf("more than %d keys in one block", maxKeys)}
		}
		most := 0
		brackets, most = nesting(rest, brackets)
		if len(open)+dashes+most > maxDepth {
			return &Error{Line: number, Column: 1, Err: tooDeep}
		}
	}
	return nil
}

// isKey reports whether a line begins with a key.
func isKey(line []byte) bool {
	line = bytes.TrimRight(line, "\r\n ")
	return bytes.HasSuffix(line, []byte(":")) || bytes.Contains(line, []byte(": "))
}

// nesting follows the brackets of a line up to a comment, and gives how many are open at
// its end and how many were at most.
func nesting(line []byte, open int) (end, most int) {
	most = open
	for i, c := range line {
		switch c {
		case '[', '{':
			open++
			most = max(most, open)
		case ']', '}':
			open = max(open-1, 0)
		case '#':
			if i == 0 || line[i-1] == ' ' {
				return open, most
			}
		}
	}
	return open, most
}

// errEmpty is what is wrong with a file without a single key.
var errEmpty = errors.New("has no key, so it is taken for cut off or misplaced; write {} for the built-in defaults, or leave -c out")

// CutOff reports whether the file of next is the beginning of the file of c, which was
// read before: one that is being written, or was when the disk was full. The error reports
// how to get such a change through.
func (c *Config) CutOff(next *Config) error {
	if len(next.text) > 0 && len(next.text) < len(c.text) && bytes.HasPrefix(c.text, next.text) && hasContent(c.text[len(next.text):]) {
		return fmt.Errorf("the file is the one in force cut off after %d of %d bytes; if its end was removed on purpose, add a comment there or restart",
			len(next.text), len(c.text))
	}
	return nil
}

// hasContent reports whether there is anything but comments and blanks.
func hasContent(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// Gone gives the blocks that the file of c has and that of next has no more, so that
// defaults hold there. After an edit that is news; after a cut it is the first sign.
func (c *Config) Gone(next *Config) (keys []string) {
	for _, key := range c.keys {
		if !slices.Contains(next.keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
