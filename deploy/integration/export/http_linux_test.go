//go:build integration

package export

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestCurl: curl fetches lists of a real instance in all ways that firewalls have, gets one only
// when it has changed, and nothing any more once its token is taken out of the configuration.
func TestCurl(t *testing.T) {
	need(t, "curl", "curl")
	need(t, "nft", "nftables")
	const all, one = "token-for-all-targets", "token-for-one-list-only"
	dir := t.TempDir()
	block := instance.WriteFile(t, filepath.Join(dir, "block.txt"), "62.0.0.9\n62.0.1.0/24\n2a00:1::7\nevil.example.org\n")
	web := fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t))
	config := fmt.Sprintf("intel: {feeds: [{file: %s}]}\nweb: {listen: %q, export_tokens: [%%s{token: %s, targets: [nftables], query: set=1&family=4}]}\n", block, web, one)
	i := instance.New(t, fmt.Sprintf(config, "{token: "+all+"}, "))
	i.Start(t)
	url := "http://" + web + "/api/v1/export/"
	curl := func(args ...string) (code, body string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--max-time", "20", "-w", "\n%{http_code}"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v\n%s", args, err, out)
		}
		at := strings.LastIndexByte(string(out), '\n')
		return string(out[at+1:]), string(out[:at])
	}
	i.Until(t, "the list is there", func() bool { code, _ := curl(url + "text/" + all + "?set=1"); return code == "200" })
	etag := filepath.Join(dir, "etag")
	for _, tt := range []struct {
		code, in string
		args     []string
	}{
		{"200", "62.0.0.9\n62.0.1.0/24\n2a00:1::7\n", []string{"-H", "Authorization: Bearer " + all, "--etag-save", etag, url + "text?set=1"}},
		{"304", "", []string{"-H", "Authorization: Bearer " + all, "--etag-compare", etag, url + "text?set=1"}},
		{"200", "62.0.0.9\n", []string{"-u", "firewall:" + all, url + "text?set=1"}},
		{"200", "Etag: \"", []string{"--head", "-u", "firewall:" + all, url + "text/" + all + "?set=1"}},
		{"200", "evil.example.org IN CNAME .\n", []string{"-u", "firewall:" + all, url + "rpz?set=1"}},
		{"200", "add element inet flowsnitch v4 {\n62.0.0.9 ", []string{"-u", "firewall:" + one, url + "nftables"}},
		{"403", "this token is for one list", []string{"-u", "firewall:" + one, url + "nftables?set=1&family=6"}},
		{"401", "missing or wrong token", []string{"-u", "firewall:" + all + "x", url + "text?set=1"}},
	} {
		code, body := curl(tt.args...)
		if code != tt.code || !strings.Contains(body, tt.in) || code == "304" && body != "" {
			t.Errorf("curl %v: %s\n%s", tt.args, code, body)
		}
	}
	_, list := curl("-u", "firewall:"+one, url+"nftables")
	isolated(t, `nft -c -f "$0"; nft -f "$0"`, instance.WriteFile(t, filepath.Join(dir, "list.nft"), list))
	if out := i.Command(t, "status"); !strings.Contains(out, "exports    ") || !strings.Contains(out, "1 unchanged") {
		t.Error(out)
	}
	instance.WriteFile(t, block, "62.0.0.9\n")
	i.Configure(t, fmt.Sprintf(config, ""))
	i.Signal(syscall.SIGHUP)
	i.Until(t, "the token is revoked", func() bool { code, _ := curl(url + "text/" + all + "?set=1"); return code == "401" })
	i.Until(t, "the new list is there", func() bool {
		code, body := curl("-u", "firewall:"+one, url+"nftables")
		return code == "200" && !strings.Contains(body, "62.0.1.0/24")
	})
	if log := i.Log(); strings.Contains(log, all) || strings.Contains(log, one) {
		t.Error("a token is in the log")
	}
}
