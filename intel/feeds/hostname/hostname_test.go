package hostname

import (
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 63)
	name253 := long + "." + long + "." + long + "." + strings.Repeat("b", 57) + ".org"
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"example.org", "example.org", nil},
		{"EXAMPLE.Org.", "example.org", nil},
		{"*.example.org", "example.org", nil},
		{".example.org", "example.org", nil},
		{"*example.org", "", errLabel},
		{"*.*.example.org", "", errLabel},
		{"*.com", "", errLabels},
		{"*.", "", errLabels},
		{"evil[.]example[.]org", "evil.example.org", nil},
		{"_dmarc.example.org", "_dmarc.example.org", nil},
		{"bücher.example.org", "xn--bcher-kva.example.org", nil},
		{"BÜCHER.example.org", "xn--bcher-kva.example.org", nil},
		{"xn--bcher-kva.example.org", "xn--bcher-kva.example.org", nil},
		{"例え。テスト", "xn--r8jz45g.xn--zckzah", nil},
		{"co.uk", "co.uk", nil}, // the exporter refuses it
		{name253, name253, nil},
		{"b" + name253, "", errLength},
		{"a" + long + ".org", "", errLength},
		{strings.Repeat("ü.", 1000), "", errLength},
		{"org", "", errLabels},
		{"", "", errLabels},
		{".", "", errLabels},
		{"localhost", "", errLabels},
		{"a..org", "", errLabel},
		{"-a.org", "", errLabel},
		{"a-.org", "", errLabel},
		{"a b.org", "", errLabel},
		{"a;b.org", "", errLabel},
		{"a\nb.org", "", errLabel},
		{"$ORIGIN.org", "", errLabel},
		{`a\.org.org`, "", errLabel},
		{"a.*.org", "", errLabel},
		{"xn--a.org", "", errIDN},
		{"a\u202eb.org", "", errIDN},
		{"192.0.2.1", "", ErrAddress},
		{"2001:db8::1", "", ErrAddress},
		{"192.0.2.256", "", ErrAddress},
		{"a.1", "", ErrAddress},
	} {
		got, err := Parse(tt.in)
		if err != tt.err || err == nil && got != tt.want {
			t.Errorf("%.80q: %q, %v; want %q, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestOfURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://example.org/a?b": "example.org", "hxxps://EXAMPLE[.]org:8080/x": "example.org", "https://user:pw@a.example.org": "a.example.org",
		"http://good.example.org@evil.example.org/": "evil.example.org", "http://evil.example.org\\@good.example.org": "evil.example.org",
		"http://example.org?x=http://other.org": "example.org", "ftp://example.org#f": "example.org",
		"http://192.0.2.1/x": "", "http://[2001:db8::1]/": "", "example.org/path": "", "://example.org": "", "http://": "", "/a.org://b.org": "",
	} {
		if got, err := OfURL(in); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]string{
		"co.uk": "shared", "com.au": "shared", "github.io": "shared", "evil.github.io": "public", "example.org": "public", "a.b.example.co.uk": "public",
		"index.html": "", "file.exe": "", "router.lan": "local", "localhost.localdomain": "local", "1.0.0.127.in-addr.arpa": "local",
	} {
		if got := IsShared(name); got != (want == "shared") {
			t.Errorf("%s is shared: %t", name, got)
		}
		if got := IsLocal(name); got != (want == "local") {
			t.Errorf("%s is local: %t", name, got)
		}
		if want != "local" && IsPublic(name) != (want == "public") {
			t.Errorf("%s is public: %t", name, IsPublic(name))
		}
	}
	for pair, want := range map[[2]string]bool{
		{"example.org", "example.org"}: true, {"a.example.org", "example.org"}: true, {"badexample.org", "example.org"}: false, {"example.org", "a.example.org"}: false,
	} {
		if Below(pair[0], pair[1]) != want {
			t.Error(pair)
		}
	}
}

// TestIsCritical: what everybody needs and what is above a shared host, but not what is below one.
func TestIsCritical(t *testing.T) {
	for name, want := range map[string]bool{
		"a.root-servers.net": true, "root-servers.net": true, "amazonaws.com": true, "s3.amazonaws.com": true, "evil.s3.amazonaws.com": false, "windows.net": true,
		"core.windows.net": true, "evil.blob.core.windows.net": false, "google.com": true, "sites.google.com": false, "ntp.org": true, "example.org": false, "notgithub.com": false,
	} {
		if IsCritical(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	for _, name := range append(everybodys, hosts...) {
		if parsed, err := Parse(name); err != nil || parsed != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: what is taken for a name is one that every program reads alike.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.org", "*.bücher.example.", "xn--bcher-kva.org", "a[.]b.org", "http://u@h.org:1/", "192.0.2.1", "0.00000\xaf0000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(string) (string, error){Parse, OfURL} {
			name, err := read(s)
			if err != nil {
				continue
			}
			if len(name) > MaxName || !strings.Contains(name, ".") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
				t.Fatalf("%q gives %q", s, name)
			}
			if again, err := Parse(name); err != nil || again != name {
				t.Fatalf("%q gives %q, which gives %q, %v", s, name, again, err)
			}
			if strings.Contains(name, "xn--") {
				if _, err := idna.Lookup.ToUnicode(name); err != nil {
					t.Fatalf("%q gives %q: %v", s, name, err)
				}
			}
		}
	})
}
