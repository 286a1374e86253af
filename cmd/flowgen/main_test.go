package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var versions = []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow}

// TestAddsUp: what arrives is what the summary says, in every unit, and the
// sequence numbers say the same.
func TestAddsUp(t *testing.T) {
	for _, v := range versions {
		for _, flows := range []string{"1", "700", "200"} { // 200: the ring goes round
			t.Run(fmt.Sprintf("%v/%s", v, flows), func(t *testing.T) {
				c := listen(t)
				args := []string{"--to", c.addr(), "--version", v.String(), "--count", "700", "--flows", flows,
					"--rate", "0", "--sampling", "10", "--template-every", "5", "--hits", "0.5", "--hit-list", "203.0.113.0/24"}
				if v != flow.V5 {
					args = append(args, "--ipv6", "0.3", "--hit-list", "203.0.113.0/24,2001:db8::/32")
				}
				checkSums(t, v, c, flowgen(t, t.Context(), args...))
			})
		}
	}
}

func checkSums(t *testing.T, v flow.Version, c *collector, s summary) {
	t.Helper()
	var bytes, flows, templates uint64
	var sequence uint32
	read := newReader()
	for i, r := range c.take(t, s.Datagrams) {
		got := read.read(t, r.payload)
		if got.sequence != sequence {
			t.Fatalf("datagram %d: sequence %d, want %d", i, got.sequence, sequence)
		}
		sequence += got.step(v)
		bytes += uint64(len(r.payload))
		flows += uint64(got.flows)
		if got.schemas > 0 {
			templates++
		}
	}
	if bytes != s.Bytes || flows != s.Flows || templates != s.Templates || s.Unsent != 0 {
		t.Errorf("received %d bytes, %d flows, %d templates; sent %+v", bytes, flows, templates, s)
	}
	if s.Distinct >= 700 && s.Flows != 700 || s.Flows < 700 {
		t.Errorf("%d flows sent, 700 asked for, %d distinct", s.Flows, s.Distinct)
	}
	if s.Hits == 0 && s.Distinct > 10 {
		t.Errorf("no hits among %d flows", s.Flows)
	}
}

func TestTemplatesAgain(t *testing.T) {
	for _, c := range []struct {
		flag string
		want string // T templates, d data
	}{
		{"--template-every=3", "TdddTdddTdddTd"},
		{"--template-every=1", "TdTdTdTdTdTdTdTdTdTd"},
		{"--once-template", "Tdddddddddd"},
	} {
		for _, v := range []string{"v9", "ipfix"} {
			in := listen(t)
			s := flowgen(t, t.Context(), "--to", in.addr(), "--version", v, "--rate", "0", "--count", "100", "--flows-per-datagram", "10", c.flag)
			var order strings.Builder
			for _, r := range in.take(t, s.Datagrams) {
				if isTemplates(r.payload) {
					order.WriteByte('T')
				} else {
					order.WriteByte('d')
				}
			}
			if order.String() != c.want {
				t.Errorf("%s %s: datagrams came as %s, want %s", v, c.flag, &order, c.want)
			}
		}
	}
}

// TestInterrupt: without a limit flowgen sends until it is told to stop, and then
// says what it sent.
func TestInterrupt(t *testing.T) {
	c := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan summary)
	go func() { done <- flowgen(t, ctx, "--to", c.addr(), "--rate", "100000", "--flows", "1000") }()
	c.take(t, 20)
	cancel()
	if s := <-done; s.Datagrams < 20 {
		t.Errorf("%d datagrams sent, 20 had come", s.Datagrams)
	}
}

func TestCapture(t *testing.T) {
	for _, v := range versions {
		file := filepath.Join(t.TempDir(), "out.pcap")
		s := flowgen(t, t.Context(), "--version", v.String(), "--pcap", file, "--rate", "100", "--duration", "20s",
			"--exporters", "3", "--flows", "3000")
		// 100 flows/s for 20 s, and up to one datagram that the bucket holds at first.
		if s.Flows < 1900 || s.Flows > 2030 {
			t.Errorf("%v: %d flows in 20 s at 100 flows/s", v, s.Flows)
		}
		flows, sources := readCapture(t, file)
		if flows != s.Flows || len(sources) != 3 {
			t.Errorf("%v: %d flows from %v in the file, %d written", v, flows, sources, s.Flows)
		}
	}
}

func readCapture(t *testing.T, file string) (flows uint64, sources map[string]bool) {
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	check(t, err)
	read, sources := newReader(), map[string]bool{}
	for {
		data, _, err := r.ReadPacketData()
		if err == io.EOF {
			return flows, sources
		}
		check(t, err)
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		sources[p.NetworkLayer().NetworkFlow().Src().String()] = true
		flows += uint64(read.read(t, p.TransportLayer().(*layers.UDP).Payload).flows)
	}
}

func TestWrongUse(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	bad := filepath.Join(t.TempDir(), "bad.txt")
	check(t, os.WriteFile(bad, []byte("# list\n192.0.2.1\nnonsense\n"), 0o600))
	for _, c := range []struct{ args, want string }{
		{"--nonsense", "--nonsense"},
		{"argument", "argument"},
		{"--to 192.0.2.1:2055", "--allow-remote"},
		{"--to 127.0.0.1", "--to 127.0.0.1"},
		{"--to 127.0.0.1:0", "port"},
		{"--version v7", "v5, v9, ipfix or sflow"},
		{"--version v5 --ipv6 0.5", "IPv6"},
		{"--version v5 --sampling 16384", "16383"},
		{"--version v5 --flows-per-datagram 31", "30"},
		{"--rate -1", "--rate"},
		{"--rate NaN", "--rate"},
		{"--count -1", "--count"},
		{"--duration -1s", "--duration"},
		{"--flows 0", "--flows"},
		{"--batch 0", "--batch"},
		{"--template-every 0", "--template-every"},
		{"--exporters 0", "--exporters"},
		{"--exporters 10001", "10000"},
		{"--exporters 2 --to [::1]:2055", "IPv4"},
		{"--exporters 2 --to 192.0.2.1:2055 --allow-remote", "loopback"},
		{"--spoof 10.0.0.0/8 --to 192.0.2.1:2055 --allow-remote", "loopback"},
		{"--spoof 10.0.0.0/31 --exporters 3", "room for 3"},
		{"--spoof nonsense", "--spoof"},
		{"--ipv6 1.5", "1.5"},
		{"--hits 0.1", "prefix"},
		{"--hits 0.1 --hit-list " + missing, missing},
		{"--hits 0.1 --hit-list " + bad, "line 3"},
		{"--home 10.0.0.0/8,x", `"x"`},
		{"--pcap " + missing, "--count"},
		{"--processes 0", "--processes"},
		{"--processes 17", "16"},
		{"--processes 16 --exporters 1000", "10000"},
		{"--processes 2 --version v5", "--processes"},
		{"--totals --version v5", "--totals"},
		{"--avc --version sflow", "--avc"},
		{"--sampled-interface 5", "--sampling"},
		{"--sampled-interface 5 --sampling 5 --version sflow", "--sampled-interface"},
		{"--sampling-for interface=5:10 --version v5", "--sampling-for"},
		{"--sampling-for interface=5", "interface=10:100"},
		{"--sampling-for interface=5:0", "rate"},
		{"--sampling-for interface=5:4294967296", "rate"},
		{"--sampling-for interface=x:10", "interface"},
		{"--sampling-for interface:10", "interface"},
		{"--sampling-for ingress=5:10", "interface, card, cache, template"},
		{"--sampling-for interface=5:10 --version ipfix", "ingress, egress, card, process, template, domain"},
		{"--sampling-for template=65536:10", "65535"},
		{"--sampling-for card=1,card=2:10", "twice"},
		{"--version ipfix" + strings.Repeat(" --sampling-for ingress=5:10", 30), "bytes"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("flowgen %s: exit code %d, want %d; %q on stderr, want %q in it; %q on stdout",
				c.args, code, exitUsage, &stderr, c.want, &stdout)
		}
	}
}

func TestFailures(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--count", "1", "--pcap", t.TempDir()}, &stdout, &stderr)
	if code != exitFailed {
		t.Errorf("a capture file that is a directory: exit code %d, %q", code, &stderr)
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"flowgen --to 127.0.0.1:2055", "--allow-remote", "pollute"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
}

func TestSummaryLine(t *testing.T) {
	c := listen(t)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--to", c.addr(), "--count", "52", "--version", "v5"}, &stdout, &stderr)
	if want := "v5: sent 2 datagrams (0 of templates), 52 flows"; code != exitDone || !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("exit code %d, %q, want %q", code, &stdout, want)
	}
}
