//go:build integration

package syslog

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/syslog"
)

// rsyslog is the daemon with an address for each transport. Queues are direct: what
// it has taken off a connection is in its file.
type rsyslog struct {
	*daemon
	address map[string]string
}

func newRsyslog(t *testing.T, ca *authority) *rsyslog {
	t.Helper()
	root := unpack(t, "rsyslog", "rsyslog-openssl")
	modules, err := filepath.Glob(root + "/usr/lib/*/rsyslog")
	if err != nil || len(modules) != 1 {
		t.Fatalf("modules in %v: %v", modules, err)
	}
	dir, p := t.TempDir(), ports(t, 3)
	cert, key := ca.issue(t)
	socket := filepath.Join(dir, "log")
	write(t, filepath.Join(dir, "conf"), fmt.Sprintf(`
global(workDirectory="%[1]s" maxMessageSize="64k"
	defaultNetstreamDriverCAFile="%[2]s" defaultNetstreamDriverCertFile="%[3]s" defaultNetstreamDriverKeyFile="%[4]s")
main_queue(queue.type="Direct")
module(load="imudp")
module(load="imtcp")
module(load="imuxsock" sysSock.use="off")
template(name="fields" type="string"
	string="%%syslogfacility-text%%.%%syslogseverity-text%% %%hostname%% %%programname%% %%msgid%% %%msg%%\n")
ruleset(name="file") { action(type="omfile" file="%[1]s/messages" template="fields" asyncWriting="off") }
input(type="imudp" address="127.0.0.1" port="%[5]d" ruleset="file")
input(type="imtcp" address="127.0.0.1" port="%[6]d" ruleset="file")
input(type="imtcp" address="127.0.0.1" port="%[7]d" ruleset="file"
	streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imuxsock" socket="%[8]s" ruleset="file")
`, dir, ca.file, cert, key, p[0], p[1], p[2], socket))
	d := newDaemon(t, root, dir, at(p[1]), "usr/sbin/rsyslogd", "-n", "-f", filepath.Join(dir, "conf"),
		"-i", filepath.Join(dir, "pid"), "-M", modules[0])
	return &rsyslog{d, map[string]string{syslog.UDP: at(p[0]), syslog.TCP: at(p[1]), syslog.TLS: at(p[2]), syslog.Unix: socket}}
}

func TestRsyslog(t *testing.T) {
	ca := newAuthority(t)
	d := newRsyslog(t, ca)
	for _, transport := range []string{syslog.UDP, syslog.TCP, syslog.TLS, syslog.Unix} {
		for _, protocol := range []string{syslog.RFC5424, syslog.RFC3164} {
			for _, framing := range []string{syslog.Octet, syslog.LF} {
				if transport == syslog.Unix && protocol == syslog.RFC5424 {
					continue // its local socket knows the old protocol only
				}
				for _, format := range []string{"text", "json", "cef", "leef"} {
					t.Run(transport+"/"+protocol+"/"+framing+"/"+format, func(t *testing.T) {
						cfg := config(t, ca, transport, d.address[transport])
						cfg.Protocol, cfg.Framing, cfg.Format = protocol, framing, format
						exchange(t, d.daemon, "messages", cfg)
					})
				}
			}
		}
	}
	t.Run("client certificate", func(t *testing.T) { testClientCertificate(t, d, ca) })
	t.Run("kill", func(t *testing.T) { testKill(t, d, ca) })
}

// testClientCertificate: rsyslog refuses a client without a certificate, which our
// error tells.
func testClientCertificate(t *testing.T, d *rsyslog, ca *authority) {
	cfg := config(t, ca, syslog.TLS, d.address[syslog.TLS])
	cfg.TLS.Cert, cfg.TLS.Key = "", ""
	s := newSender(t, cfg)
	eventually(t, "the refusal", func() bool {
		err := s.Send(t.Context(), events(1))
		return err != nil && strings.Contains(err.Error(), "check tls.cert and tls.key")
	})
	cfg.TLS.CA = newAuthority(t).file
	wantError(t, newSender(t, cfg), "unknown authority, name it in tls.ca")
}

// testKill kills rsyslog several times while it is writing.
func testKill(t *testing.T, d *rsyslog, ca *authority) {
	const rounds, each = 4, 4000
	before := len(d.lines(t, "messages"))
	s := newSender(t, config(t, ca, syslog.TLS, d.address[syslog.TLS]))
	p := startProcess(t, s)
	sent := events(rounds * each)
	for i := range rounds {
		p.add(sent[i*each:][:each])
		eventually(t, "half a round", func() bool { return len(d.lines(t, "messages")) >= before+i*each+each/2 })
		d.end(syscall.SIGKILL)
		d.start(t)
	}
	last := sent[len(sent)-1].ID.String()
	p.add(sent[:1]) // what is held comes with the next event
	eventually(t, "the last event", func() bool { return occurs(d.lines(t, "messages")[before:], last) })
	p.stop()
	checkOrder(t, d.lines(t, "messages")[before:], sent)
	t.Logf("%d lines for %d events; %+v", len(d.lines(t, "messages"))-before, len(sent), s.Stats())
	if s.Stats().Asked == 0 {
		t.Error("no event was asked for again")
	}
}
