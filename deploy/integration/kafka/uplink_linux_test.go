//go:build integration || soak

package kafka

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"golang.org/x/sys/unix"
)

// The ends of the link.
const (
	siteAddress   = "10.77.0.2"
	centreAddress = "10.77.0.1"
	uplink        = "uplink" // the interface at both ends
)

// TestUplink has a Raspberry Pi's flowsnitch and the broker in networks of their own. The
// link between them is cut, then loses 30 % of the packets in each direction, while hits
// go on. After that all of them are in Kafka, in order for each offender.
func TestUplink(t *testing.T) {
	need(t, "kcat", "kcat")
	need(t, "nft", "nftables")
	jars := artifacts(t)
	site := newUplink(t)
	b := centralBroker(t, jars)
	i := instance.New(t, fmt.Sprintf(`
profile: edge
home: [%s]
intel: {feeds: [], deny: [%s]}
canary: {every: 0s}
sinks:
  - jsonlog: {rotate: none}
  - kafka: {brokers: [%q], create_topics: true}
`, instance.Home, instance.Offenders, b.plain))
	i.Prefix = site
	i.Start(t)
	const quiet = 2 * time.Second // of good weather, before and after
	flows := int((outage + lossy + 2*quiet).Seconds()) * uplinkRate
	gen := i.Generate(t, flows, uplinkRate)
	i.Until(t, "hits go over the link", func() bool { return i.LostNothing(t).Hits.Found > 0 })
	time.Sleep(quiet)
	weather(t, site, "drop")
	time.Sleep(outage)
	i.Until(t, "events wait for the link", func() bool {
		return waiting(i.LostNothing(t)) >= uint64(outage.Seconds())*uplinkRate/2
	})
	weather(t, site, "numgen random mod 100 < 30 drop")
	time.Sleep(lossy)
	weather(t, site, "accept")
	_ = gen.Wait()
	i.Until(t, "all hits are found", func() bool { return i.LostNothing(t).Hits.Found == uint64(flows) })
	begin := time.Now()
	i.Drained(t)
	log, topic := i.Logged(t), published(t, b)
	t.Logf("%v without a link, %v with 30 %% loss: %d hits in the log, %d in the topic (%d twice); all there %v after the last",
		outage, lossy, len(log.Seen), len(topic.Seen), topic.Double, time.Since(begin).Round(time.Millisecond))
	if len(log.Seen) != flows {
		t.Errorf("%d hits in the log, want %d", len(log.Seen), flows)
	}
	log.Compare(t, "the topic", topic)
}

// waiting gives the events that the Kafka sink has not got rid of.
func waiting(st instance.StreamStatus) uint64 {
	for _, k := range st.Sinks {
		if strings.HasPrefix(k.Name, "kafka") {
			return k.Pending
		}
	}
	return 0
}

// newUplink puts the test into a network of its own, the centre's, for the rest of the
// goroutine's life, and makes another, the site's. It gives the command that runs a
// program there.
func newUplink(t *testing.T) (site []string) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	pid := strconv.Itoa(holder.Process.Pid)
	site = []string{"nsenter", "--net=/proc/" + pid + "/ns/net"}
	do(t, nil, "ip link set lo up")
	do(t, nil, "ip link add "+uplink+" type veth peer name "+uplink+" netns "+pid)
	do(t, nil, "ip address add "+centreAddress+"/24 dev "+uplink)
	do(t, nil, "ip link set "+uplink+" up")
	do(t, site, "ip link set lo up")
	do(t, site, "ip address add "+siteAddress+"/24 dev "+uplink)
	do(t, site, "ip link set "+uplink+" up")
	return site
}

// do runs a command at the site, or here.
func do(t *testing.T, site []string, command string) {
	t.Helper()
	args := append(site[:len(site):len(site)], strings.Fields(command)...)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// weather makes a rule for what arrives over the link, at both ends: a sender does not
// learn of a packet that is dropped there.
func weather(t *testing.T, site []string, rule string) {
	t.Helper()
	for _, end := range [][]string{nil, site} {
		do(t, end, "nft add table inet weather")
		do(t, end, "nft add chain inet weather in { type filter hook input priority 0 ; }")
		do(t, end, "nft flush chain inet weather in")
		do(t, end, "nft add rule inet weather in iifname "+uplink+" "+rule)
	}
}

// centralBroker starts a broker that the site can reach.
func centralBroker(t *testing.T, jars string) *broker {
	t.Helper()
	b := &broker{id: 1, jars: jars, dir: t.TempDir(), plain: centreAddress + ":9092"}
	b.findPorts(t)
	b.format(t, authority.New(t), []string{"1@" + b.ctrl})
	b.start(t)
	return b
}
