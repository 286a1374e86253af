//go:build integration

package integration

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// The addresses of the two ends. The list has prefixes for the listed ones.
const (
	home4, home6         = "192.0.2.5", "2001:db8:1::5"
	listed4, listed6     = "198.51.100.9", "2001:db8:2::9"
	unlisted4, unlisted6 = "198.51.100.10", "2001:db8:2::a"

	homeNetworks = `[192.0.2.0/24, "2001:db8:1::/64"]`
	list         = "198.51.100.9\n2001:db8:2::8/127\n"
)

// An exchange is one connection: so many bytes up, then so many down.
type exchange struct {
	network        string // tcp or udp
	client, server netip.AddrPort
	up, down       int
	direction      string // as the hit log is to say; "" = no hit
}

func (x exchange) String() string {
	return fmt.Sprintf("%s %v -> %v", x.network, x.client, x.server)
}

// exchanges gives the connections between a home address and one that is listed, and
// one that is not.
func exchanges(home, listed, unlisted string) []exchange {
	at := func(addr string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
	}
	return []exchange{
		{"tcp", at(home, 40001), at(unlisted, 443), 700, 7000, ""},
		{"udp", at(home, 40002), at(unlisted, 53), 70, 270, ""},
		{"tcp", at(home, 40003), at(listed, 443), 600, 9000, "outbound"},
		{"udp", at(home, 40004), at(listed, 53), 60, 250, "outbound"},
		{"tcp", at(listed, 40005), at(home, 22), 900, 1200, "inbound"},
	}
}

// run makes the connection for real, from one namespace to the other.
func (x exchange) run(client, server *namespace) error {
	served := make(chan error, 1)
	conn, err := x.open(client, server, served)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(stepTimeout))
	if _, err := conn.Write(make([]byte, x.up)); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, x.down)); err != nil {
		return err
	}
	return <-served
}

// open starts the server and connects the client.
func (x exchange) open(client, server *namespace, served chan<- error) (conn net.Conn, err error) {
	serve := x.serveTCP
	if x.network == "udp" {
		serve = x.serveUDP
	}
	server.do(func() { err = serve(served) })
	if err != nil {
		return nil, err
	}
	client.do(func() {
		if x.network == "udp" {
			conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(x.client), net.UDPAddrFromAddrPort(x.server))
		} else {
			conn, err = net.DialTCP("tcp", net.TCPAddrFromAddrPort(x.client), net.TCPAddrFromAddrPort(x.server))
		}
	})
	return conn, err
}

func (x exchange) serveTCP(served chan<- error) error {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(x.server))
	if err != nil {
		return err
	}
	l.SetDeadline(time.Now().Add(stepTimeout))
	go func() {
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(stepTimeout))
		if _, err = io.ReadFull(conn, make([]byte, x.up)); err == nil {
			_, err = conn.Write(make([]byte, x.down))
		}
		served <- err
	}()
	return nil
}

func (x exchange) serveUDP(served chan<- error) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(x.server))
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(stepTimeout))
	go func() {
		defer conn.Close()
		_, from, err := conn.ReadFromUDPAddrPort(make([]byte, x.up))
		if err == nil {
			_, err = conn.WriteToUDPAddrPort(make([]byte, x.down), from)
		}
		served <- err
	}()
	return nil
}

// runAll makes the connections one after the other.
func runAll(t *testing.T, all []exchange, inside, outside *namespace) {
	t.Helper()
	for _, x := range all {
		client, server := inside, outside
		if x.direction == "inbound" {
			client, server = outside, inside
		}
		if err := x.run(client, server); err != nil {
			t.Fatalf("%v: %v", x, err)
		}
	}
}

// murmur sends a steady trickle of packets to an address that is not listed, until
// the test ends. softflowd 1.1.0 gives libpcap no time-out and so sees packets only by
// the full block of 128 KiB: on an idle link never.
func murmur(t *testing.T, from, to *namespace) {
	t.Helper()
	src := netip.AddrPortFrom(netip.MustParseAddr(home4), 40100)
	dst := netip.AddrPortFrom(netip.MustParseAddr(unlisted4), 9)
	var sink, conn *net.UDPConn
	var err error
	to.do(func() { sink, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(dst)) })
	if err != nil {
		t.Fatal(err)
	}
	from.do(func() { conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(src), net.UDPAddrFromAddrPort(dst)) })
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		sink.Close()
		conn.Close()
	})
	go func() {
		for tick := time.Tick(2 * time.Millisecond); ; <-tick {
			select {
			case <-stop:
				return
			default:
				conn.Write(make([]byte, 1200))
			}
		}
	}()
}
