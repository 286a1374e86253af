package feeds

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// errEnough ends the parsing of a document that stands for very many prefixes.
var errEnough = errors.New("enough")

// checkParse parses foreign bytes and checks what must hold for all of them.
func checkParse(t *testing.T, format, body string) {
	t.Helper()
	var entries []document.Entry
	report, err := Parse(strings.NewReader(body), document.Options{Format: format, Now: referenceTime, Names: func(e document.Entry) error { checkNames(t, e); return nil }}, func(e document.Entry) error {
		if entries = append(entries, e); len(entries) > 5000 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return
	}
	if err != nil && report.Verdict != document.RejectDocument && report.Verdict != document.Truncated {
		t.Fatalf("verdict %q with error %v", report.Verdict, err)
	}
	if report.Accepted+report.Excluded != len(entries) || len(report.Samples) > min(document.MaxSamples, report.Rejected+report.RejectedParts) {
		t.Fatalf("%d entries, report %+v", len(entries), report)
	}
	if report.NamedRows > report.Rejected {
		t.Fatalf("%+v", report)
	}
	for _, s := range report.Samples {
		if strings.ContainsFunc(s.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("sample is not escaped: %q", s.Text)
		}
	}
	for _, e := range entries {
		checkEntry(t, e)
	}
	checkRoundTrip(t, entries)
}

// checkEntry checks that an entry is canonical and its evidence bounded.
func checkEntry(t *testing.T, e document.Entry) {
	t.Helper()
	p := e.Prefix
	if !p.IsValid() || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		t.Fatalf("prefix %v is not canonical", p)
	}
	for _, s := range []string{e.Description, e.Ref, e.NativeID, e.Category, e.TLP} {
		if !utf8.ValidString(s) || len(s) > 1024 {
			t.Fatalf("evidence %q of %v", s, p)
		}
	}
	if len(e.Description) > document.MaxDescription || e.Score > 100 || e.Line < 1 {
		t.Fatalf("entry %+v", e)
	}
	for _, at := range []int{e.FirstSeen.Nanosecond(), e.LastSeen.Nanosecond(), e.Expires.Nanosecond()} {
		if at != 0 {
			t.Fatalf("times of %+v", e)
		}
	}
}

// checkRoundTrip checks that our own output is a plain list of the same prefixes.
func checkRoundTrip(t *testing.T, entries []document.Entry) {
	t.Helper()
	var l Listing
	var want []netip.Prefix
	for _, e := range entries {
		if !e.Exclude {
			want = append(want, e.Prefix)
			_ = l.Add(e)
		}
	}
	slices.SortFunc(want, comparePrefix)
	want = slices.Compact(want)
	var text strings.Builder
	if err := l.WritePrefixes(&text); err != nil {
		t.Fatal(err)
	}
	var got []netip.Prefix
	_, err := Parse(strings.NewReader(text.String()), document.Options{Format: "plain"}, func(e document.Entry) error {
		got = append(got, e.Prefix)
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("round trip: %v, got %v, want %v", err, got, want)
	}
}

// fuzzFormats runs every input through the given formats.
func fuzzFormats(f *testing.F, formats []string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, format := range formats {
			checkParse(t, format, body)
		}
	})
}

func FuzzPlain(f *testing.F) {
	fuzzFormats(f, []string{"plain", "dshield", "dshield-ips", "pipe"},
		"192.0.2.1;192.0.2.2 ; x\n192.0.2.0 255.255.255.0\n192.0.2.0 - 192.0.2.9, 192.0.2.10|x\n192.0.2.0 /24 mask\n",
		"192.0.2.1 # x\n192.0.2.0-192.0.2.9\r\n[2001:db8::1]:443\r::ffff:192.0.2.0/120\n1.2.3.4:80\n\"1.2.3.4\",x",
		"::fffe:ffff:ffff-::1:0:0:0\n::ffff:0:0/96\n::/1\n192.0.2.1/255.255.0.0\n",
		"Start\tEnd\tNetblock\n192.000.002.000\t192.0.2.255\t24\t10\tName\tNL\t\n",
		"64500 | A|B | 192.0.2.1 | 2026-11-01 00:00:00 | sshpwauth\n",
		"\xff\xfe1\x00.\x002\x00.\x003\x00.\x004\x00", "\x1f\x8b\x08")
}

func FuzzCSV(f *testing.F) {
	fuzzFormats(f, []string{"csv:ip", "csvcol:1", "csvport:0", "otx-csv", "csvrange:0,1", "csvrange:start,end"},
		"start;end\n192.0.2.0;192.0.2.9\n", "sep=;\n1;\"192.0.2.1\";x\n",
		"# a\n\"id\",\"ip\"\n1,\"192.0.2.1\"\n2,\"line\nbreak\"\n",
		"\"[2001:db8::1]:80\", \"x \\\"y\\\"\", z\n2001:db8::1:80,\"a\"\"b\"\n",
		"Indicator type,Indicator,Description\r\nIPv4,192.0.2.1,\"x, y\"\r\n\"open\n\"\"\n")
}

func FuzzLocal(f *testing.F) {
	fuzzFormats(f, []string{
		"zeek", "iprep", "cdb", "silk", "silk-ranges", "ip4set", "ip4trie", "ip6trie", "combined", "p2p", "dat", "ipset", "tor-exit",
		"nft", "hosts.deny",
	},
		"table ip x {\n set y {\n elements = { 192.0.2.1 timeout 1h, 192.0.2.0/24,\n 192.0.2.1-192.0.2.9 . tcp . 80 }\n}}\n",
		"ALL: 192.0.2. EXCEPT 192.0.2.1 : deny\nsshd: [2001:db8::]/32, \\\n 192.0.2.7\n",
		"#fields\tindicator\tindicator_type\tmeta.url\n192.0.2.1\tIntel::ADDR\thttps://x/\n",
		"192.0.2.1,1,100\n10.:x\n\"2001:db8::1\":y\n", "10.x.1-2.4,5\n3232235776/24\n192.0.2.1-192.0.2.9\n",
		"$DATASET ip4set a @\n:2:x $\n10/8\n!10.1-2\n1.2.3.4-9 :3:y\n$DATASET ip6trie b @\n2001:db8:1\n",
		"l:192.0.2.0-192.0.2.9\n", "001.2.3.4 - 001.2.3.9 , 000 , l\n", "add a 192.0.2.0/24 nomatch comment \"x\"\nadd b 192.0.2.1,tcp:80\n",
		"ExitNode AA\nExitAddress 192.0.2.1 2026-11-01 00:00:00\n")
}

func FuzzJSON(f *testing.F) {
	fuzzFormats(f, []string{
		"", "json", "drop-json", "otx", "otx-export", "misp", "misp-warn", "stix", "feodo-json", "threatfox-json", "abuseipdb-json", "isc-json",
	},
		`{"cidr":"192.0.2.0/24","sblid":"SBL1"}`+"\n"+`{"type":"metadata","timestamp":1,"records":1}`,
		`{"results":[{"id":"a","name":"n","indicators":[{"indicator":"192.0.2.1","type":"IPv4","is_active":1}]}],"next":null}`,
		`{"Event":{"uuid":"u","Attribute":[{"type":"ip-dst|port","value":"192.0.2.1|80","to_ids":"1"}],"Object":[{"Attribute":[]}]}}`,
		`{"list":["192.0.2.0/24","2001:db8::/32"],"type":"cidr"}`,
		`{"objects":[{"type":"indicator","id":"i","pattern":"[ipv4-addr:value = '192.0.2.1']","modified":"2026-01-01T00:00:00Z"}]}`,
		`[{"ip_address":"192.0.2.1","port":443}]`, `{"query_status":"ok","data":[{"ioc":"192.0.2.1:80","ioc_type":"ip:port"}]}`,
		`{"meta":{},"data":[{"ipAddress":"192.0.2.1","abuseConfidenceScore":100}]}`, `[{"ip":"192.000.002.001"}]`)
}

func FuzzPath(f *testing.F) {
	f.Add("data[].ip", `{"data":[{"ip":"192.0.2.1"},{"ip":["192.0.2.2, 192.0.2.3"]}]}`)
	f.Add("a, $['b.c'].*", `{"a":{"192.0.2.1":1},"b.c":[{"x":"192.0.2.0-192.0.2.9"}]}`+"\n"+`{"a":null}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		if CheckPath(path) != nil {
			return
		}
		report, err := Parse(strings.NewReader(body), document.Options{Path: path}, func(e document.Entry) error { checkEntry(t, e); return nil })
		if err == nil && report.Verdict == document.RejectDocument {
			t.Fatalf("%+v", report)
		}
	})
}
