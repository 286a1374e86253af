package client

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs/secret"
)

// A scrubber takes secrets out of texts that people will see.
type scrubber []string

// minScrubbed is the length from which a text is a secret: shorter ones would only
// tear words apart.
const minScrubbed = 4

// add takes a secret in every spelling in which it may come back.
func (s *scrubber) add(text string) {
	if len(text) < minScrubbed {
		return
	}
	quoted := strconv.Quote(text)
	for _, form := range []string{text, url.QueryEscape(text), url.PathEscape(text),
		quoted[1 : len(quoted)-1], base64.StdEncoding.EncodeToString([]byte(text))} {
		*s = append(*s, form, secret.Hidden)
	}
}

func (s scrubber) Text(t string) string { return strings.NewReplacer(s...).Replace(t) }

// Err gives an error without secrets. It cannot be unwrapped: what is inside has
// them still.
func (s scrubber) Err(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(s.Text(err.Error()))
}

// minURLSecret is the length from which a value of a query may be a key.
const minURLSecret = 8

// addURL adds what may be a key in a URL.
func (s *scrubber) addURL(at string) {
	u, err := url.Parse(at)
	if err != nil {
		return
	}
	for _, values := range u.Query() {
		for _, value := range values {
			if len(value) >= minURLSecret {
				s.add(value)
			}
		}
	}
}
