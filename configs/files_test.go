package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
)

// keyFiles writes files of every kind that a key may name.
func keyFiles(t *testing.T) (dir string, replace *strings.Replacer) {
	t.Helper()
	dir = t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("token", "abcdef\n")
	put("empty", " \n")
	put("text", "no certificate\n")
	ca := authority.New(t)
	for _, name := range []string{"a", "b"} {
		ca.IssueTo(t, name, time.Now().Add(time.Hour), filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	}
	return dir, strings.NewReplacer("DIR", dir)
}

// TestCheckKeys: keys that are missing and files that cannot be what they must be are
// found, with the place of their key, wherever a configuration names one.
func TestCheckKeys(t *testing.T) {
	dir, replace := keyFiles(t)
	const otx, kafka, syslog = `{intel: {feeds: [{preset: otx, %s}]}}`, `{sinks: [{kafka: {brokers: ["k:9092"], %s}}]}`, `{sinks: [{syslog: {servers: ["s:6514"], transport: tls, tls: {%s}}}]}`
	for _, tt := range []struct{ text, want string }{
		{`{intel: {feeds: [{preset: otx}]}}`, "1:18: intel.feeds[0].api_key_file: required; otx responds only with an API key"},
		{`{intel: {feeds: [{preset: feodo}, {preset: threatfox}]}}`, "1:35: intel.feeds[1].api_key_file: required; threatfox responds only with an API key"},
		{`{intel: {feeds: [{name: mine, url: "https://otx.example/", otx: {}}]}}`, "api_key_file: required; mine responds"},
		{`{intel: {feeds: [{name: m, url: "https://m.example/", misp: {source: search}}]}}`, "api_key_file: required; m responds"},
		{`{intel: {feeds: [{name: m, url: "https://m.example/", misp: {source: feed}}]}}`, ""},
		{`{intel: {feeds: [{preset: otx, name: kept, file: DIR/token, format: otx-export}]}}`, ""},
		{fmt.Sprintf(otx, "api_key: abcd"), ""},
		{fmt.Sprintf(otx, "api_key_file: DIR/token"), ""},
		{fmt.Sprintf(otx, "api_key_file: DIR/none"), "1:46: intel.feeds[0].api_key_file: DIR/none: no such file or directory"},
		{fmt.Sprintf(otx, "api_key_file: DIR/empty"), "intel.feeds[0].api_key_file: DIR/empty: is empty"},
		{fmt.Sprintf(otx, "api_key_file: DIR"), "intel.feeds[0].api_key_file: DIR: is a directory"},
		{fmt.Sprintf(otx, "api_key: abcd, ca_file: DIR/text"), "intel.feeds[0].ca_file: DIR/text: has no certificate (PEM)"},
		{fmt.Sprintf(otx, "api_key: abcd, cert_file: DIR/a.crt, key_file: DIR/b.key"), "intel.feeds[0].cert_file: DIR/a.crt and DIR/b.key are no pair of certificate and key: tls: private key does not match public key"},
		{fmt.Sprintf(otx, "api_key: abcd, ca_file: DIR/b.crt, cert_file: DIR/a.crt, key_file: DIR/a.key"), ""},
		{fmt.Sprintf(otx, "api_key: abcd, user: u, password_file: DIR/none"), "intel.feeds[0].password_file: DIR/none: no such"},
		{`{intel: {warninglists: [{name: w, class: shared, url: "https://w.example/", api_key_file: DIR/none}]}}`, "intel.warninglists[0].api_key_file: DIR/none: no such"},
		{fmt.Sprintf(kafka, "tls: {enabled: true, ca: DIR/none}"), "sinks[0].kafka.tls.ca: DIR/none: no such"},
		{fmt.Sprintf(kafka, "tls: {enabled: true, cert: DIR/b.crt, key: DIR/a.key}"), "sinks[0].kafka.tls.cert: DIR/b.crt and DIR/a.key are no pair"},
		{fmt.Sprintf(kafka, "tls: {enabled: true}, sasl: {mechanism: plain, user: u, password_file: DIR/none}"), "sinks[0].kafka.sasl.password_file: DIR/none: no such"},
		{fmt.Sprintf(syslog, "ca: DIR/text"), "sinks[0].syslog.tls.ca: DIR/text: has no certificate (PEM)"},
		{fmt.Sprintf(syslog, "cert: DIR/a.crt, key: DIR/none"), "sinks[0].syslog.tls.key: DIR/none: no such"},
		{`{web: {listen: ":8055", token_file: DIR/none}}`, "web.token_file: DIR/none: no such"},
		{`{web: {listen: ":8055", tls: {cert: DIR/a.crt, key: DIR/a.key, client_ca: DIR/token}}}`, "web.tls.client_ca: DIR/token: has no certificate (PEM)"},
		{`{sinks: [{webhook: {kind: json, url_file: DIR/none}}]}`, "sinks[0].webhook.url_file: DIR/none: no such"},
	} {
		text := replace.Replace(tt.text)
		c, err := Parse("f.yml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		var got []string
		for _, e := range c.CheckKeys("f.yml") {
			if e.File != "f.yml" || e.Line == 0 {
				t.Errorf("%s: no place in %+v", tt.text, e)
			}
			got = append(got, strings.ReplaceAll(e.Error(), dir, "DIR"))
		}
		switch {
		case tt.want == "" && len(got) == 0:
		case len(got) != 1 || !strings.Contains(got[0], tt.want) || tt.want == "":
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
}
