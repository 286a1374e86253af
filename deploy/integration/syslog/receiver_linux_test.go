//go:build integration || soak

package syslog

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/authority"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
)

// TestReceivers: what `config print rsyslog` and `config print syslog-ng` give works as
// it stands, but for ports and paths: every line of the file is the event's JSON.
func TestReceivers(t *testing.T) {
	ca := authority.New(t)
	for _, tt := range []struct {
		name, tlsDir, port string // of the artifact; port with %, as it stands there
		start              func(t *testing.T, dir string, ready []string, conf string) *daemon
	}{
		{"rsyslog", "/etc/rsyslog.d/tls/", `port="%"`, startRsyslog},
		{"syslog-ng", "/etc/syslog-ng/tls/", `port(%)`, startSyslogNG},
	} {
		t.Run(tt.name, func(t *testing.T) {
			artifact, err := configs.Artifact(tt.name)
			if err != nil {
				t.Fatal(err)
			}
			dir, p := t.TempDir(), ports(t, 3)
			cert, key := ca.Issue(t)
			changes := []string{
				tt.tlsDir + "ca.pem", ca.File, tt.tlsDir + "server.pem", cert, tt.tlsDir + "server.key", key,
				"/var/log/flowsnitch", dir,
			}
			for i, port := range []string{"6514", "601", "514"} {
				changes = append(changes, strings.ReplaceAll(tt.port, "%", port), strings.ReplaceAll(tt.port, "%", strconv.Itoa(p[i])))
			}
			conf := string(artifact)
			for i := 0; i < len(changes); i += 2 {
				if !strings.Contains(conf, changes[i]) {
					t.Fatalf("%s is not in the artifact", changes[i])
				}
				conf = strings.ReplaceAll(conf, changes[i], changes[i+1])
			}
			if tt.name == "rsyslog" {
				conf = "global(workDirectory=\"" + dir + "\")\n" + conf
			}
			d := tt.start(t, dir, []string{at(p[0]), at(p[1])}, conf)
			for i, transport := range []string{syslog.TLS, syslog.TCP, syslog.UDP} {
				cfg := config(t, ca, transport, at(p[i]))
				cfg.TLS.Cert, cfg.TLS.Key = "", "" // none is wanted
				cfg.Format = "json"
				wantJSON(t, d, cfg)
			}
		})
	}
}

// wantJSON sends events and wants each as a line of JSON, in order.
func wantJSON(t *testing.T, d *daemon, cfg syslog.Config) {
	t.Helper()
	const file = "remote.json"
	before := len(d.lines(t, file))
	s, sent := newSender(t, cfg), events(12)
	for i := range sent {
		if err := s.Send(t.Context(), sent[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "all lines over "+cfg.Transport, func() bool { return len(d.lines(t, file)) >= before+len(sent) })
	for i, line := range d.lines(t, file)[before:] {
		var doc struct{ Integration, ID string }
		if err := json.Unmarshal([]byte(line), &doc); err != nil || i >= len(sent) || doc.ID != sent[i].ID.String() {
			t.Errorf("%v, line %d: %s", err, i, line)
		}
	}
}

// TestReadme: the examples of the README are those of the artifacts, comments apart.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
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
			t.Errorf("the README does not have the code of %s", name)
		}
	}
}
