package spec

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A Secret is a text that is never printed.
type Secret string

// Hidden stands where a secret was.
const Hidden = "(hidden)"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString hides the secret from %#v as well.
func (s Secret) GoString() string { return s.String() }

// MarshalYAML hides the secret.
func (s Secret) MarshalYAML() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// MarshalJSON hides the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// maxSecretFile bounds a file with a key.
const maxSecretFile = 64 << 10

// Read gives the secret or what stands in its file. The file is read for every use:
// keys are renewed.
func (s Secret) Read(file string) (string, error) {
	if file == "" {
		return string(s), nil
	}
	b, err := os.ReadFile(file)
	switch key := strings.TrimSpace(string(b)); {
	case err != nil:
		return "", err
	case key == "":
		return "", fmt.Errorf("%s: is empty, must hold a key", file)
	case len(key) > maxSecretFile || strings.ContainsAny(key, "\r\n\x00"):
		return "", fmt.Errorf("%s: must hold one line, the key", file)
	default:
		return key, nil
	}
}
