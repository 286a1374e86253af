//go:build soak

package syslog

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The full figures.
const (
	fullHits = 1_000_000
	hitRate  = 20_000 // a second
	kills    = 5      // of each
)

// wantedHits gives the number of hits; FLOWSNITCH_SOAK_HITS makes it smaller.
func wantedHits(t *testing.T) int {
	t.Helper()
	text := os.Getenv("FLOWSNITCH_SOAK_HITS")
	if text == "" {
		return fullHits
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > fullHits {
		t.Fatalf("FLOWSNITCH_SOAK_HITS: %q is not allowed, 1 to %d are", text, fullHits)
	}
	return n
}

// An outage is what happens at a time after the start.
type outage struct {
	at   time.Duration
	what int
}

const (
	serverDies = iota
	serverReturns
	weDie
)

// outages gives all of them in order: rsyslog is down for 5 to 15 s each time, and
// flowsnitch is killed while it is down or up, as it happens.
func outages() []outage {
	var list []outage
	server, we := time.Duration(0), time.Duration(0)
	for range kills {
		server += 2 * time.Second
		list = append(list, outage{server, serverDies})
		server += 5*time.Second + rand.N(10*time.Second)
		list = append(list, outage{server, serverReturns})
		we += 4*time.Second + rand.N(6*time.Second)
		list = append(list, outage{we, weDie})
	}
	slices.SortFunc(list, func(a, b outage) int { return cmp.Compare(a.at, b.at) })
	return list
}

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
	i := instance.New(t, fmt.Sprintf(`
listen: [{udp: %q, receive_buffer: 67108864}]
home: [%s]
intel: {feeds: [], deny: [%s]}
contact: {hit_queue: 1000000}
canary: {every: 0s}
journal: {max_bytes: 2147483648}
sinks:
  - jsonlog: {rotate: none}
  - syslog: {servers: [%q], transport: tls, format: json, tls: {ca: %s}}
    delivery: {batch: 5000, backoff_max: 1s}
`, instance.FreeUDP(t), instance.Home, instance.Offenders, at(p[0]), ca.File))
	i.Start(t)
	began, hits := time.Now(), wantedHits(t)
	gen := i.Generate(t, hits*5/4, hitRate) // some are sent while nobody listens
	for _, o := range outages() {
		time.Sleep(time.Until(began.Add(o.at)))
		switch o.what {
		case serverDies:
			d.end(syscall.SIGKILL)
		case serverReturns:
			d.start(t)
		case weDie:
			i.LostNothing(t)
			i.Kill()
			i.Start(t)
		}
	}
	_ = gen.Wait()
	i.Drained(t)
	s := i.LostNothing(t)
	log, written := i.Logged(t), instance.AccountOfFile(t, filepath.Join(dir, "messages"), true)
	t.Logf("%d hits in the log (%d twice), %d in the file of rsyslog (%d twice); dropped %d", len(log.Seen), log.Double,
		len(written.Seen), written.Double, s.Journal.DroppedFull+s.Journal.DroppedOld)
	if len(log.Seen) < hits {
		t.Errorf("only %d hits in the log", len(log.Seen))
	}
	log.Compare(t, "the file of rsyslog", written)
}
