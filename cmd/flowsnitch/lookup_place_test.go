package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"golang.org/x/net/dns/dnsmessage"
)

// TestLookupPlace: country and AS come from the databases of the configuration, in the text
// and in JSON, with foreign text made harmless.
func TestLookupPlace(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "ipinfo lite", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	_, network, _ := net.ParseCIDR("203.0.113.0/24")
	if err := tree.Insert(network, mmdbtype.Map{"country_code": mmdbtype.String("AU"), "asn": mmdbtype.String("AS64496"), "as_name": mmdbtype.String("Bad\x1b[2J Net")}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := write("bad.txt", "203.0.113.9\n")
	file := write("f.yml", fmt.Sprintf("state_dir: %s\nenrich: {mmdb: [%s]}\n", dir, write("x.mmdb", b.String())))
	out := command(t, "lookup", "-c", file, "--intel", list, "203.0.113.9", "203.0.113.0/24", "192.0.2.1").out
	if !strings.Contains(out, "203.0.113.9 belongs to country AU, AS64496 Bad Net\n") || strings.Count(out, "belongs") != 1 || strings.Contains(out, "names") {
		t.Errorf("got %q", out)
	}
	out = command(t, "lookup", "-c", file, "--intel", list, "--json", "203.0.113.9", "192.0.2.1").out
	if strings.Count(out, `"place":{"country":"AU","as_number":64496,"as_name":"Bad Net"}`) != 1 || strings.Count(out, "place") != 1 {
		t.Errorf("got %s", out)
	}
}

// TestNames: the DNS is asked for single addresses; its names are bounded and printed without
// what controls a terminal.
func TestNames(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go serveNames(pc)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	asked := []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("192.0.2.1/32")}
	got := namesOf(t.Context(), r, asked)
	if got[1] != nil || len(got[0].Names) != mostNames || got[0].More != 2 || len(got[2].Names) != 0 || got[2].Error != "" {
		t.Errorf("%+v %+v %+v", got[0], got[1], got[2])
	}
	var b bytes.Buffer
	got[0].print(&b, "203.0.113.9")
	got[2].print(&b, "192.0.2.1")
	if text := b.String(); !strings.Contains(text, "host-0.example.net, host-1") || !strings.Contains(text, " and 2 more\n") || !strings.Contains(text, "192.0.2.1: names in the DNS (whoever has the zone can write any): none\n") {
		t.Errorf("got %s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := namesOf(ctx, r, asked[:1]); n[0].Error == "" {
		t.Errorf("got %+v", n[0])
	}
}

// serveNames answers questions for 203.0.113.9 with twelve names, others with none.
func serveNames(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Header.Response, m.Header.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
		if q.Name.String() == "9.113.0.203.in-addr.arpa." {
			m.Header.RCode = dnsmessage.RCodeSuccess
			for i := range mostNames + 2 {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(fmt.Sprintf("host-%d.example.net.", i))},
				})
			}
		}
		if b, err := m.Pack(); err == nil {
			_, _ = pc.WriteTo(b, from)
		}
	}
}
