//go:build soak

package syslog

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// A server is rsyslog in a storm.
type server struct{ *daemon }

func (s server) Kill()              { s.end(syscall.SIGKILL) }
func (s server) Start(t *testing.T) { s.start(t) }

// TestSoak kills rsyslog and flowsnitch again and again under load. What rsyslog had
// taken off the connection and not yet written when it was killed comes again, if it is
// no older than resend.
func TestSoak(t *testing.T) {
	ca := authority.New(t)
	dir, p := t.TempDir(), ports(t, 1)
	cert, key := ca.Issue(t)
	d := startRsyslog(t, dir, []string{at(p[0])}, fmt.Sprintf(`
global(workDirectory="%[1]s" maxMessageSize="64k"
	defaultNetstreamDriverCAFile="%[2]s" defaultNetstreamDriverCertFile="%[3]s" defaultNetstreamDriverKeyFile="%[4]s")
main_queue(queue.type="Direct")
module(load="imtcp")
template(name="message" type="string" string="%%msg%%\n")
ruleset(name="file") { action(type="omfile" file="%[1]s/messages" template="message" asyncWriting="off") }
input(type="imtcp" address="127.0.0.1" port="%[5]d" ruleset="file"
	streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
`, dir, ca.File, cert, key, p[0]))
	i := instance.New(t, instance.StormConfig(t, "max_bytes: 2147483648")+fmt.Sprintf(`
sinks:
  - jsonlog: {rotate: none}
  - syslog: {servers: [%q], transport: tls, format: json, tls: {ca: %s}}
    delivery: {batch: 5000, backoff_max: 1s}
`, at(p[0]), ca.File))
	instance.Storm{
		Place: "the file of rsyslog", Server: server{d},
		Account: func(t *testing.T) instance.Account {
			return instance.AccountOfFile(t, filepath.Join(dir, "messages"), true)
		},
	}.Run(t, i)
}
