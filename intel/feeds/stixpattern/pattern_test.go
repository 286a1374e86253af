package stixpattern

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

func TestPatternAddresses(t *testing.T) {
	_, errPort := prefix.Port("70000")
	cases := []struct {
		pattern string
		want    string // values, separated by blanks
		err     error
	}{
		{"[ipv4-addr:value = 'a']", "a", nil},
		{"[ipv4-addr:value='a']", "a", nil},
		{"[ipv4-addr:value == 'a']", "a", nil},
		{" [ ipv6-addr:value  =\t'a' ] ", "a", nil},
		{"[ipv4-addr:value = 'a' OR ipv4-addr:value = 'b' OR domain-name:value = 'c']", "a b", nil},
		{"[ipv4-addr:value IN ('a','b')]", "a b", nil},
		{"[ipv4-addr:value IN ('a')]", "a", nil},
		{"[ipv4-addr:value ISSUBSET 'a']", "a", nil},
		{"[ipv4-addr:value = 'a'] OR [ipv6-addr:value = 'b']", "a b", nil},
		{"([ipv4-addr:value = 'a'] OR ([ipv6-addr:value = 'b']))", "a b", nil},
		{"[(ipv4-addr:value = 'a' OR (ipv4-addr:value = 'b')) OR x:y = 1]", "a b", nil},
		{"[file:hashes.'SHA-256' = 'x' OR ipv4-addr:value = 'a']", "a", nil},
		{"[x:y[*].z[0].'q\\'q' = true OR ipv4-addr:value = 'a']", "a", nil},
		{"[x:y = t'2020-01-01T00:00:00Z' OR x:z = h'ff' OR x:w = -1.5 OR ipv4-addr:value = 'a']", "a", nil},
		{`[x:y = 'it\'s AND \\' OR ipv4-addr:value = 'a']`, "a", nil},
		{`[ipv4-addr:value = 'a\'b']`, "a'b", nil},
		{"[domain-name:value = 'a AND b' OR ipv4-addr:value = 'a']", "a", nil},

		{"[network-traffic:dst_ref.value = 'a']", "a", nil},
		{"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a']", "a", nil},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:src_ref.type = 'ipv6-addr']", "a", nil},
		{"[(network-traffic:dst_ref.type IN ('ipv4-addr', 'ipv6-addr') AND network-traffic:dst_ref.value IN ('a', 'b'))]", "a b", nil},
		{"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a' AND network-traffic:dst_port = '443']", "a:443", nil},
		{"[(network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a') AND network-traffic:dst_port = 443]", "a:443", nil},
		{"[network-traffic:dst_port IN (80, 443) AND (ipv4-addr:value = 'a' OR ipv4-addr:value = 'b')]", "a:80 a:443 b:80 b:443", nil},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 80 OR ipv4-addr:value = 'b']", "a:80 b", nil},
		{"[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'x' OR ipv4-addr:value = 'a']", "a", nil},

		{"[domain-name:value = 'a']", "", errNoAddresses},
		{"[network-traffic:dst_ref.type = 'ipv4-addr']", "", errNoAddresses},
		{"[network-traffic:dst_port = 443]", "", errNoAddresses},
		{"[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'x']", "", errNoAddresses},
		{"[domain-name:value = 'x' AND domain-name:resolves_to_refs[*].value = 'a']", "", errNarrow},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:dst_ref.value = 'b']", "", errNarrow},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:dst_port = 22]", "", errNarrow},
		{"[network-traffic:src_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a']", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 1 AND network-traffic:src_port = 2]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port > 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:protocols[*] = 'tcp']", "", errNarrow},
		{"[(ipv4-addr:value = 'a' OR domain-name:value = 'x') AND network-traffic:dst_port = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] AND [network-traffic:dst_port = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 70000]", "", errPort},
		{"[ipv4-addr:value = 'a' AND]", "", errPattern},
		{"[ipv4-addr:value = 'a' AND x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] AND [x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' OR x:y = 1 AND x:z = 2]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] FOLLOWEDBY [x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] WITHIN 5 SECONDS", "", errNarrow},
		{"[ipv4-addr:value = 'a'] REPEATS 2 TIMES", "", errNarrow},
		{"[ipv4-addr:value = 'a'] START t'x' STOP t'y'", "", errNarrow},
		{"[ipv4-addr:value != 'a']", "", errNarrow},
		{"[ipv4-addr:value NOT = 'a']", "", errNarrow},
		{"[NOT ipv4-addr:value = 'a']", "", errNarrow},
		{"[ipv4-addr:value NOT IN ('a')]", "", errNarrow},
		{"[ipv4-addr:value LIKE 'a%']", "", errNarrow},
		{"[ipv4-addr:value MATCHES 'a']", "", errNarrow},
		{"[ipv4-addr:value ISSUPERSET 'a']", "", errNarrow},
		{"[EXISTS ipv4-addr:value]", "", errNarrow},
		{"[ipv4-addr:value > 'a']", "", errNarrow},

		{"", "", errPattern},
		{"[]", "", errPattern},
		{"[ipv4-addr:value = 'a'", "", errPattern},
		{"[ipv4-addr:value = 'a]", "", errPattern},
		{"[ipv4-addr:value = 'a']]", "", errPattern},
		{"[ipv4-addr:value 'a']", "", errPattern},
		{"[ipv4-addr:value = ]", "", errPattern},
		{"[ipv4-addr:value = 'a' OR]", "", errPattern},
		{"[ipv4-addr:value = 'a' or x:y = 1]", "", errPattern},
		{"[ipv4-addr:value IN ()]", "", errPattern},
		{"[ipv4-addr:value IN ('a' 'b')]", "", errPattern},
		{"[= 'a']", "", errPattern},
		{"ipv4-addr:value = 'a'", "", errPattern},
		{"[x:y.'z = 1]", "", errPattern},
		{strings.Repeat("(", 1000) + "[ipv4-addr:value = 'a']" + strings.Repeat(")", 1000), "", errPattern},
	}
	for _, c := range cases {
		got, _, err := Read(c.pattern)
		var texts []string
		for _, a := range got {
			text := a.Value
			if a.Port != 0 {
				text += fmt.Sprintf(":%d", a.Port)
			}
			texts = append(texts, text)
		}
		if err != c.err || !slices.Equal(texts, strings.Fields(c.want)) {
			t.Errorf("%s: got %q, %v; want %q, %v", fit.Cut(c.pattern, 80), texts, err, c.want, c.err)
		}
	}
}

func TestPatternNames(t *testing.T) {
	for pattern, want := range map[string]string{
		"[domain-name:value = 'a']":                                                                                       "a",
		"[domain-name:value IN ('a', 'b') OR ipv4-addr:value = 'c']":                                                      "a b",
		"[domain-name:value = 'a'] OR [url:value = 'http://b/']":                                                          "a http://b/",
		"[(domain-name:value = 'a' OR x:y = 1) OR file:name = 'b']":                                                       "a",
		"[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'a' OR ipv4-addr:value = 'b']": "a",
		"[network-traffic:dst_ref.type = 'mac-addr' AND network-traffic:dst_ref.value = 'a' OR ipv4-addr:value = 'b']":    "",
		"[domain-name:value = 'a' AND file:name = 'b']":                                                                   "",
		"[domain-name:value = 'a'] FOLLOWEDBY [ipv4-addr:value = 'b']":                                                    "",
		"[domain-name:value != 'a']":                                                                                      "",
		"[domain-name:value LIKE 'a%']":                                                                                   "",
		"[domain-name:resolves_to_refs[*].value = 'a']":                                                                   "",
		"[email-addr:value = 'a']":                                                                                        "",
	} {
		_, names, _ := Read(pattern)
		var texts []string
		for _, n := range names {
			texts = append(texts, n.Value)
			if n.OfURL != strings.Contains(n.Value, "://") {
				t.Errorf("%s: %+v", pattern, n)
			}
		}
		if got := strings.Join(texts, " "); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"[ipv4-addr:value = '192.0.2.1' OR (ipv6-addr:value IN ('a', 'b'))] OR ([x:y.'z'[*] ISSUBSET 'c'])",
		`[a:b = 'x\'y' AND c:d != t'2020']`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		values, _, err := Read(pattern)
		if (err == nil) != (len(values) > 0) {
			t.Fatalf("%q: %v, %v", pattern, values, err)
		}
	})
}
