package spec

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs/secret"
)

// A URL is where a feed is. Some providers want a key in its query, so it is never
// printed whole.
type URL string

// String gives the URL without the values of its query.
func (u URL) String() string { return RedactURL(string(u)) }

// GoString hides them from %#v as well.
func (u URL) GoString() string { return u.String() }

// MarshalYAML hides the values that are keys by their names.
func (u URL) MarshalYAML() ([]byte, error) { return strconv.AppendQuote(nil, maskURL(string(u))), nil }

// RedactURL gives a URL without user, password and the values of its query.
func RedactURL(s string) string {
	return editQuery(s, func(name, _ string) string { return url.QueryEscape(name) })
}

// maskURL gives a URL without user, password and the values that are keys by their
// names.
func maskURL(s string) string {
	return editQuery(s, func(name, value string) string {
		if isKeyName(name) {
			value = secret.Hidden
		}
		if value == "" {
			return url.QueryEscape(name)
		}
		return url.QueryEscape(name) + "=" + url.QueryEscape(value)
	})
}

// isKeyName recognises parameters that carry a key.
func isKeyName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"key", "token", "auth", "secret", "pass", "sig", "license", "user", "uid"},
		func(word string) bool { return strings.Contains(name, word) })
}

// editQuery writes the parameters of a URL anew, in order of their names.
func editQuery(s string, write func(name, value string) string) string {
	u, err := url.Parse(s)
	if err != nil {
		return secret.Hidden
	}
	u.User, u.Fragment = nil, ""
	var out []string
	for name, values := range u.Query() {
		for _, value := range values {
			out = append(out, write(name, value))
		}
	}
	slices.Sort(out)
	u.RawQuery = strings.Join(out, "&")
	return u.String()
}

// Host names where the requests of a feed go.
func (s *Spec) Host() string {
	u, err := url.Parse(string(s.URL))
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
