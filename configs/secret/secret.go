// Package secret is what must not be shown: passwords, API keys, tokens and URLs with a
// key in them, in the configuration itself or in a file that it names. The configurations
// of feeds, sinks and the web server use it.
package secret

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// A Text is never printed, neither by fmt nor as YAML or JSON.
type Text string

// Hidden stands where a secret was.
const Hidden = "(hidden)"

// String hides the text.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return Hidden
}

// GoString hides the text from %#v as well.
func (t Text) GoString() string { return t.String() }

// MarshalYAML hides the text.
func (t Text) MarshalYAML() ([]byte, error) { return strconv.AppendQuote(nil, t.String()), nil }

// MarshalJSON hides the text.
func (t Text) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, t.String()), nil }

// Reveal gives the text, or what the file holds, if one is named. The file is read each
// time: a new key needs no restart.
func (t Text) Reveal(file string) (string, error) {
	if file == "" {
		return string(t), nil
	}
	return ReadFile(file)
}

// RevealExact is Reveal for passwords that may begin or end with a blank: only the line
// end of the file is left out.
func (t Text) RevealExact(file string) (string, error) {
	if file == "" {
		return string(t), nil
	}
	return readLine(file, func(s string) string { return strings.TrimRight(s, "\r\n") })
}

// ReadFile gives the one line of a file, without white space around it. A file without
// one is an error.
func ReadFile(file string) (string, error) { return readLine(file, strings.TrimSpace) }

// maxFile bounds a file, in bytes.
const maxFile = 64 << 10

func readLine(file string, trim func(string) string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	line := trim(string(b))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxFile:
		return "", fmt.Errorf("%s: has more than %d bytes", file, maxFile)
	case line == "":
		return "", fmt.Errorf("%s: is empty", file)
	case strings.ContainsAny(line, "\r\n\x00"):
		return "", fmt.Errorf("%s: must hold one line", file)
	}
	return line, nil
}
