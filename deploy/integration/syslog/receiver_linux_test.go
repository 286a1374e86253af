//go:build integration || soak

package syslog

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
)

// A way is how messages come to a receiver.
type way struct{ transport, address, protocol, framing string }

func (w way) String() string { return w.transport + "/" + w.protocol + "/" + w.framing }

// ways gives all that a receiver takes. lf are the addresses of TCP and TLS where framing lf
// goes, which for some are those of octet.
func ways(udp, tcp, tls, unix string, lf map[string]string) (all []way) {
	for _, protocol := range []string{syslog.RFC5424, syslog.RFC3164} {
		all = append(all, way{syslog.UDP, udp, protocol, "-"}, way{syslog.Unix, unix, protocol, "-"},
			way{syslog.TCP, tcp, protocol, syslog.Octet}, way{syslog.TCP, lf[syslog.TCP], protocol, syslog.LF},
			way{syslog.TLS, tls, protocol, syslog.Octet}, way{syslog.TLS, lf[syslog.TLS], protocol, syslog.LF})
	}
	return all
}

// TestReceivers: what `config print rsyslog` and `config print syslog-ng` give works as
// it stands, but for ports and paths: whatever the way and the form, each event is a line of
// the file, once, in order, and its body alone.
func TestReceivers(t *testing.T) {
	ca := authority.New(t)
	t.Run("rsyslog", func(t *testing.T) {
		dir, p := t.TempDir(), ports(t, 3)
		conf := shipped(t, ca, dir, "rsyslog", "/etc/rsyslog.d/tls/", `port="%"`, map[int]int{6514: p[0], 601: p[1], 514: p[2]})
		conf = "global(workDirectory=\"" + dir + "\")\nmodule(load=\"imuxsock\" sysSock.use=\"off\")\n" + conf
		d := startRsyslog(t, dir, []string{at(p[0]), at(p[1])}, conf)
		all := ways(at(p[2]), at(p[1]), at(p[0]), d.file("socket"), map[string]string{syslog.TCP: at(p[1]), syslog.TLS: at(p[0])})
		receive(t, ca, d, "rsyslog", all, syslog.RFC3164) // its local sockets know the old protocol only
	})
	t.Run("syslog-ng", func(t *testing.T) {
		dir, p := t.TempDir(), ports(t, 5)
		conf := shipped(t, ca, dir, "syslog-ng", "/etc/syslog-ng/tls/", `port(%)`, map[int]int{6514: p[0], 601: p[1], 514: p[2], 6515: p[3], 1514: p[4]})
		d := startSyslogNG(t, dir, []string{at(p[0]), at(p[1]), at(p[3]), at(p[4])}, conf)
		all := ways(at(p[2]), at(p[1]), at(p[0]), d.file("socket"), map[string]string{syslog.TCP: at(p[4]), syslog.TLS: at(p[3])})
		receive(t, ca, d, "syslog-ng", all, "")
	})
}

// shipped gives an artifact with certificates, paths and ports of the test.
func shipped(t *testing.T, ca *authority.Authority, dir, name, tlsDir, port string, ports map[int]int) string {
	t.Helper()
	artifact, err := configs.Artifact(name)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := ca.Issue(t)
	changes := []string{
		tlsDir + "ca.pem", ca.File, tlsDir + "server.pem", cert, tlsDir + "server.key", key,
		"/var/log/flowsnitch", dir, "/run/flowsnitch-log", filepath.Join(dir, "socket"),
	}
	for from, to := range ports {
		changes = append(changes, strings.ReplaceAll(port, "%", strconv.Itoa(from)), strings.ReplaceAll(port, "%", strconv.Itoa(to)))
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(artifact), changes[i]) {
			t.Fatalf("%s is not in the artifact", changes[i])
		}
	}
	return strings.NewReplacer(changes...).Replace(string(artifact))
}

// receive sends events over each way in each form, and shows what has arrived. onUnix is the
// protocol that a local socket knows; empty = both.
func receive(t *testing.T, ca *authority.Authority, d *daemon, name string, all []way, onUnix string) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "%-10s %-20s", "receiver", "way")
	for _, format := range formats {
		fmt.Fprintf(&table, " %8s", format)
	}
	for _, w := range all {
		if w.transport == syslog.Unix && onUnix != "" && w.protocol != onUnix {
			continue
		}
		if w.transport == syslog.UDP { // this socket may open after those of TCP
			eventually(t, name+" has its UDP port", func() bool { return taken(w.address) })
		}
		fmt.Fprintf(&table, "\n%-10s %-20s", name, w)
		for _, format := range formats {
			cfg := config(t, ca, w.transport, w.address)
			cfg.TLS.Cert, cfg.TLS.Key = "", "" // none is asked for
			cfg.Protocol, cfg.Format = w.protocol, format
			if w.framing != "-" {
				cfg.Framing = w.framing
			}
			sent, arrived := count(t, d, cfg, w.String()+" "+format)
			fmt.Fprintf(&table, " %4d/%-3d", arrived, sent)
		}
	}
	t.Logf("arrived/sent\n%s", table.String())
}

// taken reports whether a process has this UDP port.
func taken(address string) bool {
	c, err := net.ListenPacket("udp", address)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// count sends events and gives how many of them are lines of the file: each once, in order,
// the body as it was made.
func count(t *testing.T, d *daemon, cfg syslog.Config, what string) (sent, arrived int) {
	t.Helper()
	const file = "remote.json"
	before := len(d.lines(t, file))
	s, list := newSender(t, cfg), events(12)
	for i := range list {
		if err := s.Send(t.Context(), list[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "all lines of "+what, func() bool { return len(d.lines(t, file)) >= before+len(list) })
	for i, line := range d.lines(t, file)[before:] {
		if i >= len(list) || !strings.Contains(line, list[i].ID.String()) || !isBody(cfg.Format, line) {
			t.Errorf("%s, line %d: %s", what, i, line)
			continue
		}
		arrived++
	}
	return len(list), arrived
}

// isBody reports whether a line is a body of a form and nothing else.
func isBody(format, line string) bool {
	switch format {
	case form.Text:
		return strings.HasPrefix(line, "hit src=10.0.0.5 spt=51515 dst=")
	case form.CEF:
		return strings.HasPrefix(line, "CEF:0|flowsnitch|flowsnitch|0|c2|Blacklist hit|10|rt=")
	case form.LEEF:
		return strings.HasPrefix(line, "LEEF:2.0|flowsnitch|flowsnitch|0|c2|^|cat=hit^sev=10^")
	case form.LEEF1:
		return strings.HasPrefix(line, "LEEF:1.0|flowsnitch|flowsnitch|0|c2|cat=hit\tsev=10\t")
	}
	return strings.HasPrefix(line, "{") && json.Valid([]byte(line))
}

// TestReadme: the examples of the page on sinks are those of the artifacts, comments apart.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../sinks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rsyslog", "syslog-ng"} {
		artifact, err := configs.Artifact(name)
		if err != nil {
			t.Fatal(err)
		}
		var code []string
		for line := range strings.Lines(string(artifact)) {
			if !strings.HasPrefix(line, "#") && line != "\n" {
				code = append(code, line)
			}
		}
		if !strings.Contains(string(readme), strings.Join(code, "")) {
			t.Errorf("sinks/README.md does not have the code of %s", name)
		}
	}
}
