//go:build integration || soak

package syslog

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
)

// startSyslogNG starts the daemon with a configuration; ready are addresses that it
// listens on.
func startSyslogNG(t *testing.T, dir string, ready []string, conf string) *daemon {
	t.Helper()
	root := unpack(t, "syslog-ng-core")
	modules, err := filepath.Glob(root + "/usr/lib/syslog-ng/[0-9]*")
	if err != nil || len(modules) != 1 {
		t.Fatalf("modules in %v: %v", modules, err)
	}
	write(t, filepath.Join(dir, "conf"), "@version: 3.38\n"+conf)
	return newDaemon(t, root, dir, ready, "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", filepath.Join(dir, "conf"),
		"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "ctl"), "-R", filepath.Join(dir, "persist"), "--module-path="+modules[0])
}

// TestSyslogNG: each of its ways to listen, with what fits it.
func TestSyslogNG(t *testing.T) {
	ca := authority.New(t)
	dir, p := t.TempDir(), ports(t, 6)
	cert, key := ca.Issue(t)
	d := startSyslogNG(t, dir, []string{at(p[2]), at(p[3]), at(p[4]), at(p[5])}, fmt.Sprintf(`
options { keep-hostname(yes); flush-lines(1); log-msg-size(65536); };
template fields { template("$FACILITY.$PRIORITY $HOST $PROGRAM $MSGID $MSG\n"); };
destination file { file("%[1]s/messages" template(fields)); };
source everything {
	syslog(ip(127.0.0.1) port(%[2]d) transport("udp"));
	network(ip(127.0.0.1) port(%[3]d) transport("udp"));
	syslog(ip(127.0.0.1) port(%[4]d) transport("tcp"));
	network(ip(127.0.0.1) port(%[5]d) transport("tcp"));
	network(ip(127.0.0.1) port(%[6]d) transport("tcp") flags(syslog-protocol));
	syslog(ip(127.0.0.1) port(%[7]d) transport("tls")
		tls(key-file("%[8]s") cert-file("%[9]s") ca-file("%[10]s") peer-verify(required-trusted)));
	unix-dgram("%[1]s/dgram");
	unix-stream("%[1]s/stream");
};
log { source(everything); destination(file); };
`, dir, p[0], p[1], p[2], p[3], p[4], p[5], key, cert, ca.File))
	for _, tt := range []struct{ name, transport, address, protocol, framing string }{
		{"syslog udp", syslog.UDP, at(p[0]), syslog.RFC5424, ""},
		{"network udp", syslog.UDP, at(p[1]), syslog.RFC3164, ""},
		{"syslog tcp", syslog.TCP, at(p[2]), syslog.RFC5424, syslog.Octet},
		{"network tcp", syslog.TCP, at(p[3]), syslog.RFC3164, syslog.LF},
		{"network tcp syslog-protocol", syslog.TCP, at(p[4]), syslog.RFC5424, syslog.LF},
		{"syslog tls", syslog.TLS, at(p[5]), syslog.RFC5424, syslog.Octet},
		{"unix-dgram", syslog.Unix, filepath.Join(dir, "dgram"), syslog.RFC3164, ""},
		{"unix-stream", syslog.Unix, filepath.Join(dir, "stream"), syslog.RFC3164, syslog.LF},
	} {
		for _, format := range formats {
			t.Run(tt.name+"/"+format, func(t *testing.T) {
				cfg := config(t, ca, tt.transport, tt.address)
				cfg.Protocol, cfg.Framing, cfg.Format = tt.protocol, tt.framing, format
				exchange(t, d, "messages", cfg)
			})
		}
	}
}
