//go:build integration || soak

package syslog

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
)

// rsyslog is the daemon with an address for each transport. Queues are direct: what
// it has taken off a connection is in its file.
type rsyslog struct {
	*daemon
	address map[string]string
}

// gnutls is the key of the address where another library does TLS.
const gnutls = "gnutls"

// startRsyslog starts the daemon with a configuration; ready are addresses that it
// listens on.
func startRsyslog(t *testing.T, dir string, ready []string, conf string) *daemon {
	t.Helper()
	root := unpack(t, "rsyslog", "rsyslog-openssl", "rsyslog-gnutls")
	modules, err := filepath.Glob(root + "/usr/lib/*/rsyslog")
	if err != nil || len(modules) != 1 {
		t.Fatalf("modules in %v: %v", modules, err)
	}
	write(t, filepath.Join(dir, "conf"), conf)
	return newDaemon(t, root, dir, ready, "usr/sbin/rsyslogd", "-n", "-f", filepath.Join(dir, "conf"),
		"-i", filepath.Join(dir, "pid"), "-M", modules[0])
}

func newRsyslog(t *testing.T, ca *authority.Authority) *rsyslog {
	t.Helper()
	dir, p := t.TempDir(), ports(t, 4)
	cert, key := ca.Issue(t)
	socket := filepath.Join(dir, "log")
	d := startRsyslog(t, dir, []string{at(p[1]), at(p[2]), at(p[3])}, fmt.Sprintf(`
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
input(type="imtcp" address="127.0.0.1" port="%[8]d" ruleset="file"
	streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imuxsock" socket="%[9]s" ruleset="file")
`, dir, ca.File, cert, key, p[0], p[1], p[2], p[3], socket))
	return &rsyslog{d, map[string]string{
		syslog.UDP: at(p[0]), syslog.TCP: at(p[1]), syslog.TLS: at(p[2]), gnutls: at(p[3]), syslog.Unix: socket,
	}}
}

func TestRsyslog(t *testing.T) {
	ca := authority.New(t)
	d := newRsyslog(t, ca)
	for _, way := range []string{syslog.UDP, syslog.TCP, syslog.TLS, gnutls, syslog.Unix} {
		transport := way
		if way == gnutls {
			transport = syslog.TLS
		}
		for _, protocol := range []string{syslog.RFC5424, syslog.RFC3164} {
			for _, framing := range []string{syslog.Octet, syslog.LF} {
				if transport == syslog.Unix && protocol == syslog.RFC5424 {
					continue // its local socket knows the old protocol only
				}
				for _, format := range formats {
					t.Run(way+"/"+protocol+"/"+framing+"/"+format, func(t *testing.T) {
						cfg := config(t, ca, transport, d.address[way])
						cfg.Protocol, cfg.Framing, cfg.Format = protocol, framing, format
						exchange(t, d.daemon, "messages", cfg)
					})
				}
			}
		}
	}
	t.Run("client certificate", func(t *testing.T) { testClientCertificate(t, d, ca) })
	t.Run("kill/tcp", func(t *testing.T) { testKill(t, d, config(t, ca, syslog.TCP, d.address[syslog.TCP])) })
	t.Run("kill/tls", func(t *testing.T) { testKill(t, d, config(t, ca, syslog.TLS, d.address[syslog.TLS])) })
	t.Run("kill/gnutls", func(t *testing.T) { testKill(t, d, config(t, ca, syslog.TLS, d.address[gnutls])) })
}

// testClientCertificate: rsyslog refuses a client without a certificate, which our
// error tells.
func testClientCertificate(t *testing.T, d *rsyslog, ca *authority.Authority) {
	cfg := config(t, ca, syslog.TLS, d.address[syslog.TLS])
	cfg.TLS.Cert, cfg.TLS.Key = "", ""
	s := newSender(t, cfg)
	eventually(t, "the refusal", func() bool {
		err := s.Send(t.Context(), events(1))
		return err != nil && strings.Contains(err.Error(), "check tls.cert and tls.key")
	})
	cfg.TLS.CA = authority.New(t).File
	wantError(t, newSender(t, cfg), "unknown authority, name it in tls.ca")
}

// testKill kills rsyslog several times while it is writing.
func testKill(t *testing.T, d *rsyslog, cfg syslog.Config) {
	const rounds, each = 3, 4000
	before := len(d.lines(t, "messages"))
	s := newSender(t, cfg)
	p := startProcess(t, s)
	sent := events(rounds * each)
	for i := range rounds {
		p.add(sent[i*each:][:each])
		eventually(t, "half a round", func() bool { return len(d.lines(t, "messages")) >= before+i*each+each/2 })
		d.end(syscall.SIGKILL)
		d.start(t)
	}
	last := sent[len(sent)-1].ID.String()
	eventually(t, "the last event", func() bool { return occurs(d.lines(t, "messages")[before:], last) })
	p.stop()
	checkOrder(t, d.lines(t, "messages")[before:], sent)
	t.Logf("%d lines for %d events; %+v", len(d.lines(t, "messages"))-before, len(sent), s.Stats())
	if s.Stats().Asked == 0 {
		t.Error("no event was asked for again")
	}
}
