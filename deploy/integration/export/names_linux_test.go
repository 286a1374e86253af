//go:build integration

package export

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	nameslist "github.com/flowsnitch/flowsnitch/sinks/export/names"
	languages "github.com/flowsnitch/flowsnitch/sinks/export/target"
)

// allowed are names that must be reached, the second one below a listed name.
var allowed = []string{"good.example.org", "www.n7.example.org"}

// nameList writes the list of a target for names into a file.
func nameList(t *testing.T, target string, count int) (path string, l *nameslist.List) {
	t.Helper()
	to := languages.Find(target)
	o := choice.Default()
	o.Max = 2 * count
	m, err := nameslist.New(o, allowed, to.LongestName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range count {
		name := fmt.Sprintf("n%d.example.org", i)
		switch r.IntN(20) {
		case 0:
			name = strings.Repeat(fmt.Sprintf("l%d.", i), 20) + "example.net"
		case 1:
			name = fmt.Sprintf("xn--bcher-kva.n%d.example.co.uk", i)
		case 2:
			name = fmt.Sprintf("_under-score.n%d.example.com", i)
		}
		m.Add(&nameslist.Listing{Name: name, Feed: names[r.IntN(len(names))], Category: names[r.IntN(len(names))], Score: uint8(r.IntN(101))})
	}
	for _, hostile := range []string{"a b.example.org", "$INCLUDE.x\n.org", "co.uk", "org", "x.good.example.org", strings.Repeat("a.", 120) + "org"} {
		m.Add(&nameslist.Listing{Name: hostile, Feed: "hostile", Score: 100})
	}
	l = m.Done()
	var b bytes.Buffer
	if err := to.WriteNames(&b, l); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d names of %d listings, %d bytes", target, len(l.Rows), l.Report.Listings, b.Len())
	return instance.WriteFile(t, filepath.Join(t.TempDir(), target), b.String()), l
}

// TestRPZNames: BIND takes the zone under a long name, and has the records of each row.
func TestRPZNames(t *testing.T) {
	need(t, "named-checkzone", "bind9-utils")
	path, l := nameList(t, "rpz", entries)
	denied := regexp.MustCompile(`CNAME\s+\.\n`)
	for _, zone := range []string{"flowsnitch.rpz", strings.Repeat("long.", 12) + "rpz"} {
		out := run(t, "named-checkzone", "-i", "local", "-D", "-o", "-", zone, path)
		deny, pass := len(denied.FindAllString(out, -1)), strings.Count(out, "rpz-passthru.")
		if deny != 2*len(l.Rows) || pass != 2 {
			t.Errorf("%s: %d and %d records, want %d and 2", zone, deny, pass, 2*len(l.Rows))
		}
	}
}

// TestResolver: a real resolver denies listed names and all below them, and resolves what is
// allowed and what is not listed.
func TestResolver(t *testing.T) {
	named := need(t, "named", "bind9")
	need(t, "dig", "bind9-dnsutils")
	path, l := nameList(t, "rpz", 2000)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	zone := instance.WriteFile(t, filepath.Join(dir, "org.zone"), "$TTL 300\n@ IN SOA localhost. root.localhost. 1 300 60 86400 60\n@ IN NS localhost.\n*.example IN A 192.0.2.1\nexample IN A 192.0.2.1\n")
	port := instance.FreePort(t)
	conf := instance.WriteFile(t, filepath.Join(dir, "named.conf"), fmt.Sprintf(`options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; session-keyfile none;
	recursion yes; dnssec-validation no; response-policy { zone "flowsnitch.rpz"; } qname-wait-recurse no; };
controls {};
zone "org" { type primary; file %q; };
zone "flowsnitch.rpz" { type primary; file %q; allow-query { none; }; };
`, dir, port, zone, path))
	instance.Serve(t, named, "-g", "-c", conf)
	status := regexp.MustCompile(`status: (\w+)`)
	ask := func(name string) string {
		answer, _ := exec.CommandContext(t.Context(), "dig", "+tries=1", "+time=2", "@127.0.0.1", "-p", fmt.Sprint(port), name, "A").CombinedOutput()
		if m := status.FindSubmatch(answer); m != nil {
			return string(m[1])
		}
		return ""
	}
	// It answers before it has read both zones.
	for end := time.Now().Add(patience); ask("unlisted.example.org") != "NOERROR" || ask("n7.example.org") != "NXDOMAIN"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("named does not answer from both zones")
		}
	}
	want := map[string]string{"unlisted.example.org": "NOERROR", "good.example.org": "NOERROR", "x.good.example.org": "NOERROR",
		"n7.example.org": "NXDOMAIN", "a.n7.example.org": "NXDOMAIN", "www.n7.example.org": "NOERROR", "deep.www.n7.example.org": "NOERROR"}
	for i := range 40 {
		if name := l.Rows[i*len(l.Rows)/40].Name; name != "n7.example.org" {
			want[name], want["below."+name] = "NXDOMAIN", "NXDOMAIN"
		}
	}
	for name, status := range want {
		if got := ask(name); got != status {
			t.Errorf("%s: %s, want %s", name, got, status)
		}
	}
}

// TestPostfix: postmap makes a table of the list, and answers for names as the mail server asks.
func TestPostfix(t *testing.T) {
	need(t, "postmap", "postfix")
	path, l := nameList(t, "postfix-access", entries)
	config := t.TempDir()
	instance.WriteFile(t, filepath.Join(config, "main.cf"), "compatibility_level = 3.6\ndata_directory = "+config+"\nqueue_directory = "+config+"\n")
	run(t, "postmap", "-c", config, "hash:"+path)
	var asked, want strings.Builder
	step := max(len(l.Rows)/2000, 1)
	for i := 0; i < len(l.Rows); i += step {
		r := &l.Rows[i]
		for _, key := range []string{r.Name, "." + r.Name} {
			fmt.Fprintln(&asked, key)
			fmt.Fprintf(&want, "%s\tREJECT %s\n", key, r.Reason())
		}
	}
	for _, name := range []string{"unlisted.example.org", "good.example.org", "org", "co.uk"} {
		fmt.Fprintln(&asked, name)
	}
	for i := range 2000 { // no members
		fmt.Fprintf(&asked, "n%d.example.net\nx%d.example.org\n", i, i)
	}
	fmt.Fprintln(&asked, "www.n7.example.org")
	want.WriteString("www.n7.example.org\tDUNNO\n")
	cmd := exec.CommandContext(t.Context(), "postmap", "-c", config, "-q", "-", "hash:"+path)
	cmd.Stdin = strings.NewReader(asked.String())
	out, err := cmd.Output()
	if err != nil || string(out) != want.String() {
		t.Errorf("%v, %d bytes, want %d:\n%.500s\nwant\n%.500s", err, len(out), want.Len(), out, want.String())
	}
}
