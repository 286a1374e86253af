package feeds

import (
	"archive/zip"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestNFT(t *testing.T) {
	testRows(t, "nft", []rowCase{
		{"table inet filter {\n set bad {\n  type ipv4_addr\n  flags interval\n  elements = { 192.0.2.1, 192.0.2.2,\n   198.51.100.0/25, 203.0.113.0-203.0.113.3 }\n }\n}",
			"192.0.2.1/32 192.0.2.2/32 198.51.100.0/25 203.0.113.0/30", 0},
		{"elements={192.0.2.1,192.0.2.2}", "192.0.2.1/32 192.0.2.2/32", 0},
		{"elements = { 192.0.2.1 timeout 1d expires 23h59m, 192.0.2.2 counter packets 0 bytes 0 comment \"x, } 1.2.3.4\" }", "192.0.2.1/32 192.0.2.2/32", 0},
		{"add element inet filter bad { 192.0.2.1, 2001:db8::/32 }", "192.0.2.1/32 2001:db8::/32", 0},
		{"define BAD = { 192.0.2.1 } # and 1.2.3.4", "192.0.2.1/32", 0},
		{"elements = { 192.0.2.1 . tcp . 443, 192.0.2.2 . 198.51.100.1 }", "192.0.2.1/32", 1},
		{"elements = { 192.0.2.1 : accept, 192.0.2.2 }", "192.0.2.2/32", 1},
		{"elements = { 192.0.2.0/24\n, 0.0.0.0/0, x }", "192.0.2.0/24", 2},
		{"ip saddr { 192.0.2.1, 192.0.2.2 } drop\nip saddr 192.0.2.3 drop\nct state new", "", 2},
		{"table <bad> persist { 192.0.2.0/24, !192.0.2.1 }", "192.0.2.0/24 !192.0.2.1/32", 0},
	})
}

func TestRowsOfOtherFormatsAreWhole(t *testing.T) {
	testRows(t, "ipset", []rowCase{
		{"add a 192.0.2.1,198.51.100.1\nadd b 192.0.2.0/24,tcp:80,198.51.100.0/24\nadd c 192.0.2.9,eth0", "192.0.2.9/32", 2},
	})
	testRows(t, "tor-exit", []rowCase{
		{"# x\nExitNode AA\nPublished 2026-11-19 12:00:03\nLastStatus 2026-11-19 12:00:03\nExitAddress 192.0.2.1 2026-11-19 12:00:03\nExitAdress 192.0.2.2\nx", "192.0.2.1/32", 2},
	})
}

func TestHostsDeny(t *testing.T) {
	testRows(t, "hosts.deny", []rowCase{
		{"ALL: 192.0.2.1\nsshd : 192.0.2.2, 198.51.100. : DENY\nsshd,vsftpd: 203.0.113.0/255.255.255.128 203.0.113.128/26",
			"192.0.2.1/32 192.0.2.2/32 198.51.100.0/24 203.0.113.0/25 203.0.113.128/26", 0},
		{"ALL: [2001:db8::1] [2001:db8:1::]/48", "2001:db8::1/128 2001:db8:1::/48", 0},
		{"ALL: 192.0.2.0/24 EXCEPT 192.0.2.7", "192.0.2.0/24 !192.0.2.7/32", 0},
		{"ALL: ALL EXCEPT 192.0.2.7", "!192.0.2.7/32", 1},
		{"ALL: .example.com, /etc/bad, @group, KNOWN", "", 4},
		{"sshd: 192.0.2.1 : allow", "", 0},
		{"ALL: 192.0.2.1 \\\n 192.0.2.2", "192.0.2.1/32 192.0.2.2/32", 0},
		{"192.0.2.1", "", 1},
		{"# DenyHosts: Mon Mar 30 | sshd: 192.0.2.9\nsshd: 192.0.2.1", "192.0.2.1/32", 0},
	})
}

func TestCSVRanges(t *testing.T) {
	testRows(t, "csvrange:0,1", []rowCase{
		{"192.0.2.0,192.0.2.3,US\n192.0.2.10;192.0.2.11", "192.0.2.0/30", 1},
		{"192.0.2.0;192.0.2.3;US\n192.0.2.10;192.0.2.11", "192.0.2.0/30 192.0.2.10/31", 0},
		{`"3221225984","3221225987"`, "192.0.2.0/30", 0},
		{"192.0.2.9,192.0.2.3", "", 1},
		{"192.0.2.9", "", 1},
	})
	testRows(t, "csvrange:end,start", []rowCase{{"x,end,start\n1,192.0.2.0,192.0.2.3", "192.0.2.0/30", 0}})
	testRows(t, "", []rowCase{
		{"start,end,country\n192.0.2.1,192.0.2.6,US", "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32", 0},
		{"ip_from;ip_to\n192.0.2.0;192.0.2.3", "192.0.2.0/30", 0},
		{"\"start_ip\",\"end_ip\"\n\"192.0.2.0\",\"192.0.2.3\"", "192.0.2.0/30", 0},
		{"# First IP\tLast IP\n192.0.2.0\t192.0.2.3", "192.0.2.0/30", 0},
	})
	for _, bad := range []string{"csvrange:", "csvrange:0", "csvrange:,1", "csvrange:0,"} {
		if CheckFormat(bad) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestCSVSemicolons(t *testing.T) {
	testRows(t, "csv:ip", []rowCase{
		{"id;ip;text\n1;192.0.2.1;\"a;b\"\n2;192.0.2.2;\"x\ny\"\n", "192.0.2.1/32 192.0.2.2/32", 0},
		{"sep=;\nid;ip\n1;192.0.2.1", "192.0.2.1/32", 0},
		{"id\tip\n1\t192.0.2.1", "192.0.2.1/32", 0},
		{"id|ip\n1|192.0.2.1", "192.0.2.1/32", 0},
		{"id,ip\n1,192.0.2.1;x", "", 1},
	})
	testRows(t, "csvcol:1", []rowCase{{"x;192.0.2.1\ny;192.0.2.2", "192.0.2.1/32 192.0.2.2/32", 0}})
	testRows(t, "csvcol:0", []rowCase{{"192.0.2.1;x\n192.0.2.2;y", "192.0.2.1/32 192.0.2.2/32", 0}})
	testRows(t, "csvport:0", []rowCase{{"192.0.2.1:80;x", "192.0.2.1/32", 0}})
}

func TestDetectNewFormats(t *testing.T) {
	for text, want := range map[string]string{
		"table inet filter {\n":            "nft",
		"add element ip x y { 192.0.2.1 }": "nft",
		"# x\ndefine BAD = { 192.0.2.1 }":  "nft",
		"sshd: 192.0.2.1":                  "hosts.deny",
		"ALL : 192.0.2.":                   "hosts.deny",
		"abcd:1::2":                        "plain",
		"Some words: here":                 "plain",
		"start,end\n":                      "csvrange:start,end",
		"ip,port\n192.0.2.1,80":            "plain",
		"date,from,address,to,192.0.2.1":   "plain",
		"192.0.2.0,192.0.2.255":            "plain",
	} {
		if got, _ := Detect([]byte(text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// zipped makes an archive of files, name and text in turn.
func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZIP(t *testing.T) {
	for _, c := range []struct {
		body []byte
		want string
		err  string
	}{
		{zipped(t, "list.txt", "192.0.2.1\n"), "192.0.2.1/32", ""},
		{zipped(t, "d/", "", "d/list.json", `["192.0.2.1"]`, "__MACOSX/x", "y"), "192.0.2.1/32", ""},
		{zipped(t, "a", "192.0.2.1", "b", "192.0.2.2"), "", "several files"},
		{zipped(t), "", "without a file"},
		{zipped(t, "list.txt", "192.0.2.1\n")[:60], "", "ZIP"},
		{zipped(t, "list.txt", strings.Repeat("192.0.2.1\n", 200_000)), "", "longer than"},
		{zipped(t, "list.html", "<html>"), "", "HTML"},
	} {
		var l Listing
		report, err := Parse(bytes.NewReader(c.body), document.Options{MaxBytes: 1 << 20}, l.Add)
		var b strings.Builder
		if e := l.WritePrefixes(&b); e != nil {
			t.Fatal(e)
		}
		if c.err == "" && (err != nil || !slices.Equal(strings.Fields(b.String()), strings.Fields(c.want))) ||
			c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || report.Verdict != document.RejectDocument) {
			t.Errorf("%q: got %s, %v, %+v", c.want+c.err, b.String(), err, report)
		}
	}
}
