package dnsbl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// An exchanger sends one question and gives the answer.
type exchanger func(ctx context.Context, name string, kind dnsmessage.Type) (*dnsmessage.Message, error)

// maxMessage is the size of an answer that we offer to take by UDP.
const maxMessage = 1232

// resolver is an exchanger with a server, by UDP, and by TCP for what does not fit.
func resolver(server string) exchanger {
	return func(ctx context.Context, name string, kind dnsmessage.Type) (*dnsmessage.Message, error) {
		q, packed, err := question(name, kind)
		if err != nil {
			return nil, err
		}
		m, err := ask(ctx, "udp", server, q, packed)
		if err == nil && m.Truncated {
			return ask(ctx, "tcp", server, q, packed)
		}
		return m, err
	}
}

func question(name string, kind dnsmessage.Type) (*dnsmessage.Message, []byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, nil, err
	}
	m := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}},
	}
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(maxMessage, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, nil, err
	}
	m.Additionals = []dnsmessage.Resource{{Header: opt, Body: new(dnsmessage.OPTResource)}}
	packed, err := m.Pack()
	return m, packed, err
}

// ask sends the question from a socket of its own, connected to the server, and takes
// the first datagram that answers it. A forger has to guess the port, which the system
// picks at random for each question, and the id (RFC 5452).
func ask(ctx context.Context, network, server string, q *dnsmessage.Message, packed []byte) (*dnsmessage.Message, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := read(conn, network, buf)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(buf[:n]); err != nil || !answers(&m, q) {
			if network == "tcp" {
				return nil, errors.New("not the answer to the question")
			}
			continue // somebody else's
		}
		return &m, nil
	}
}

func read(conn net.Conn, network string, buf []byte) (int, error) {
	if network == "udp" {
		return conn.Read(buf)
	}
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(buf))
	_, err := io.ReadFull(conn, buf[:n])
	return n, err
}

// answers reports whether m is the answer to q: its id and its one question, class
// included. That it comes from the server's address and port is the connected socket's
// business.
func answers(m, q *dnsmessage.Message) bool {
	if m.ID != q.ID || !m.Response || m.OpCode != q.OpCode || len(m.Questions) != 1 {
		return false
	}
	is, want := &m.Questions[0], &q.Questions[0]
	return is.Type == want.Type && is.Class == want.Class && strings.EqualFold(is.Name.String(), want.Name.String())
}

// systemServer gives the first resolver of the system.
func systemServer(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" {
			return net.JoinHostPort(f[1], "53"), nil
		}
	}
	return "", fmt.Errorf("%s: names no nameserver; set server", file)
}
