package dnsbl

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// foreign are answers that do not belong to the question, each by one thing only. All
// say 127.0.0.3.
var foreign = map[string]func(*dnsmessage.Message){
	"id":                func(m *dnsmessage.Message) { m.ID ^= 1 },
	"a question":        func(m *dnsmessage.Message) { m.Response = false },
	"operation":         func(m *dnsmessage.Message) { m.OpCode = 4 },
	"name":              func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("3.0.0.127.bl.example.org.") },
	"type":              func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeTXT },
	"class":             func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS },
	"no question":       func(m *dnsmessage.Message) { m.Questions = nil },
	"two questions":     func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) },
	"from another port": nil,
	"from another host": nil,
}

const askedFor = "2.0.0.127.bl.example.org."

func say(last byte) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.Answers[0].Body = &dnsmessage.AResource{A: [4]byte{127, 0, 0, last}} }
}

// TestForeignAnswers: what does not belong to the question is passed over, in each
// respect, and the answer that comes after it is taken.
func TestForeignAnswers(t *testing.T) {
	for name, spoil := range foreign {
		t.Run(name, func(t *testing.T) {
			server := listenUDP(t, "127.0.0.1:0")
			sender := server
			switch name {
			case "from another port":
				sender = listenUDP(t, "127.0.0.1:0")
			case "from another host":
				sender = listenUDP(t, "[::1]:0")
				if v4, err := net.ListenPacket("udp", "127.0.0.7:0"); err == nil { // Linux: all of 127/8 is there
					t.Cleanup(func() { v4.Close() })
					sender = v4
				}
			}
			go answerAll(server, func(q []byte, to net.Addr) {
				_, _ = sender.WriteTo(reply(t, q, func(m *dnsmessage.Message) {
					say(3)(m)
					if spoil != nil {
						spoil(m)
					}
				}), to)
				_, _ = server.WriteTo(reply(t, q, func(m *dnsmessage.Message) {
					say(2)(m)
					m.Questions[0].Name = dnsmessage.MustNewName(strings.ToUpper(askedFor)) // the case is free
				}), to)
			})
			m, err := resolver(server.LocalAddr().String())(t.Context(), askedFor, dnsmessage.TypeA)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := parseA(m, askedFor); err != nil || fmt.Sprint(a.codes) != "[127.0.0.2]" {
				t.Errorf("%v, %v: the foreign answer was believed", a.codes, err)
			}
		})
	}
}

// TestForeignRecords: in the answer itself, records of other names and classes count
// for nothing; aliases lead on, wherever they stand.
func TestForeignRecords(t *testing.T) {
	record := func(name string, class dnsmessage.Class, body dnsmessage.ResourceBody) dnsmessage.Resource {
		return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: class, TTL: 60}, Body: body}
	}
	in := dnsmessage.ClassINET
	a2, a3 := &dnsmessage.AResource{A: [4]byte{127, 0, 0, 2}}, &dnsmessage.AResource{A: [4]byte{127, 0, 0, 3}}
	alias := func(to string) dnsmessage.ResourceBody {
		return &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}
	}
	for name, tt := range map[string]struct {
		answers []dnsmessage.Resource
		want    string
	}{
		"another name":      {[]dnsmessage.Resource{record("x.", in, a3)}, "[]"},
		"beside another":    {[]dnsmessage.Resource{record("x.", in, a3), record(askedFor, in, a2)}, "[127.0.0.2]"},
		"another class":     {[]dnsmessage.Resource{record(askedFor, dnsmessage.ClassCHAOS, a3)}, "[]"},
		"alias":             {[]dnsmessage.Resource{record(askedFor, in, alias("y.")), record("Y.", in, a2)}, "[127.0.0.2]"},
		"alias at the end":  {[]dnsmessage.Resource{record("y.", in, a2), record(askedFor, in, alias("y."))}, "[127.0.0.2]"},
		"alias of another":  {[]dnsmessage.Resource{record("x.", in, alias("y.")), record("y.", in, a3)}, "[]"},
		"alias of itself":   {[]dnsmessage.Resource{record(askedFor, in, alias(askedFor))}, "[]"},
		"said twice":        {[]dnsmessage.Resource{record(askedFor, in, a2), record(askedFor, in, a2)}, "[127.0.0.2]"},
		"alias of class CH": {[]dnsmessage.Resource{record(askedFor, dnsmessage.ClassCHAOS, alias("y.")), record("y.", in, a3)}, "[]"},
	} {
		m := &dnsmessage.Message{Answers: tt.answers}
		if a, err := parseA(m, askedFor); err != nil || fmt.Sprint(a.codes) != tt.want {
			t.Errorf("%s: %v, %v, want %s", name, a.codes, err, tt.want)
		}
	}
	m := &dnsmessage.Message{Answers: []dnsmessage.Resource{record("x.", in, &dnsmessage.TXTResource{TXT: []string{"no"}}), record(askedFor, in, &dnsmessage.TXTResource{TXT: []string{"yes"}})}}
	if text := parseTXT(m, askedFor); text != "yes" {
		t.Errorf("text %q", text)
	}
}

// TestQuestionsCannotBeGuessed: neither ids nor ports come in an order.
func TestQuestionsCannotBeGuessed(t *testing.T) {
	server := listenUDP(t, "127.0.0.1:0")
	type sent struct{ id, port int }
	questions := make(chan sent, 200)
	go answerAll(server, func(q []byte, to net.Addr) {
		questions <- sent{int(q[0])<<8 | int(q[1]), to.(*net.UDPAddr).Port}
		_, _ = server.WriteTo(reply(t, q, nil), to)
	})
	ask := resolver(server.LocalAddr().String())
	ids, ports, steps := make(map[int]bool), make(map[int]bool), make(map[sent]int)
	var last sent
	for range cap(questions) {
		if _, err := ask(t.Context(), askedFor, dnsmessage.TypeA); err != nil {
			t.Fatal(err)
		}
		q := <-questions
		ids[q.id], ports[q.port] = true, true
		steps[sent{id: q.id - last.id}]++
		steps[sent{port: q.port - last.port}]++
		last = q
	}
	if len(ids) < 150 || len(ports) < 100 {
		t.Errorf("%d ids and %d ports in 200 questions", len(ids), len(ports))
	}
	for step, n := range steps {
		if n > 20 {
			t.Errorf("the step %+v came %d times in 200 questions", step, n)
		}
	}
}

func listenUDP(t *testing.T, addr string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answerAll calls answer for each question until the socket is closed.
func answerAll(conn net.PacketConn, answer func(q []byte, to net.Addr)) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		answer(buf[:n], from)
	}
}
