package dnsbl

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// reply answers a packed question; change spoils the answer.
func reply(t *testing.T, q []byte, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(q); err != nil {
		t.Error(err)
		return nil
	}
	m.Response = true
	m.Additionals = nil
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 2}},
	}}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

// TestResolver: over real sockets, foreign datagrams are passed over, and what is
// truncated comes by TCP.
func TestResolver(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, change := range []func(*dnsmessage.Message){
				func(m *dnsmessage.Message) { m.ID++ },
				func(m *dnsmessage.Message) { m.Response = false },
				func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeTXT },
				func(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil },
			} {
				_, _ = udp.WriteTo(reply(t, buf[:n], change), from)
			}
			_, _ = udp.WriteTo([]byte("rubbish"), from)
		}
	}()
	go func() {
		conn, err := tcp.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var size [2]byte
		_, _ = io.ReadFull(conn, size[:])
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		_, _ = io.ReadFull(conn, q)
		answer := reply(t, q, nil)
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}()
	m, err := resolver(udp.LocalAddr().String())(context.Background(), "2.0.0.127.bl.example.org.", dnsmessage.TypeA)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := parseA(m, "2.0.0.127.bl.example.org."); err != nil || len(a.codes) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := resolver(udp.LocalAddr().String())(ctx, "x.", dnsmessage.TypeA); err == nil {
		t.Error("asks after the end")
	}
}

func TestSystemServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string]string{
		"# x\nsearch a.b\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n": "192.0.2.1:53",
		"nameserver 2001:db8::1": "[2001:db8::1]:53", "": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := systemServer(file); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// FuzzAnswer: whatever comes, the codes of an answer can be listings.
func FuzzAnswer(f *testing.F) {
	q := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("x."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	b, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dnsmessage.Message
		if m.Unpack(b) != nil {
			return
		}
		a, err := parseA(&m, "x.")
		for _, code := range a.codes {
			if !isListing(code) || err != nil {
				t.Errorf("%s, %v", code, err)
			}
		}
		if text := parseTXT(&m, "x."); len(text) > maxText {
			t.Errorf("%d bytes of text", len(text))
		}
	})
}
