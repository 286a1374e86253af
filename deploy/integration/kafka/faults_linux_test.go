//go:build integration

package kafka

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	kafkago "github.com/segmentio/kafka-go"
)

// A fault is something that keeps one Kafka sink from delivering.
type fault struct {
	name   string
	config string   // keys of the sink
	want   []string // in the one error, beside the name
	mend   func()
	lost   bool // what was to be published meanwhile can never be
}

// testFaults has one instance with a sink for each fault. Each sink tells of its own in
// one clear error, in log and status; when the cause is mended, without a restart, all
// that came meanwhile is published.
func testFaults(t *testing.T, b *broker, ca *authority.Authority) {
	const before, after = 40, 5 // hits
	list := faults(t, b, ca)
	i := instance.New(t, faultConfig(list))
	i.Start(t)
	contact := func(first, n int) {
		var addrs []string
		for k := range n {
			addrs = append(addrs, fmt.Sprintf("62.0.1.%d", first+k))
		}
		i.Contact(t, addrs...)
	}
	contact(0, before)
	for _, f := range list {
		i.Until(t, f.name+": the status tells", func() bool { return tells(i.Command(t, "status"), "sink       kafka:"+f.name, &f) })
		i.Until(t, f.name+": the log tells", func() bool { return tells(i.Log(), `"kafka:`+f.name+`"`, &f) })
	}
	for _, f := range list {
		f.mend()
	}
	sent := before
	// A broker acknowledges a new limit of a topic before the partitions keep to it.
	i.Until(t, "the topic takes larger messages", func() bool {
		contact(sent, 1)
		sent++
		i.Drained(t)
		return len(publishedTo(t, b, "hits.large").Seen) > 0
	})
	contact(sent, after)
	sent += after
	i.Drained(t)
	log := i.Logged(t)
	if len(log.Seen) != sent {
		t.Errorf("%d hits in the log, want %d", len(log.Seen), sent)
	}
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			for line := range strings.Lines(i.Log()) {
				if strings.Contains(line, `"kafka:`+f.name+`"`) && strings.Contains(line, "error") {
					t.Log(line)
				}
			}
			checkMended(t, i, &f, log, publishedTo(t, b, "hits."+f.name), after+1)
		})
	}
}

// checkMended compares the topic of a fault with the hit log: all is there, or what came
// after the fault was mended.
func checkMended(t *testing.T, i *instance.Instance, f *fault, log, topic instance.Account, after int) {
	var s instance.StreamStatus
	i.Status(t, &s)
	for _, k := range s.Sinks {
		if lost := uint64(len(log.Seen) - len(topic.Seen)); k.Name == "kafka:"+f.name && (k.Failed != lost || k.Dropped != 0) {
			t.Errorf("%d events are missing in the topic, the status says %+v", lost, k)
		}
	}
	if f.lost && len(topic.Seen) == after {
		return
	}
	log.Compare(t, "the topic", topic)
	if n := strings.Count(i.Log(), `"sink": "kafka:`+f.name+`", "error"`); n != 1 {
		t.Errorf("the log tells of it %d times, want once", n)
	}
}

// tells reports whether a line about a sink says all that it should.
func tells(text, about string, f *fault) bool {
	for line := range strings.Lines(text) {
		all := strings.Contains(line, about)
		for _, w := range f.want {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// faultConfig has a sink for each fault, and a topic.
func faultConfig(list []fault) string {
	config := fmt.Sprintf("home: [%s]\nintel: {feeds: [], deny: [%s]}\ncanary: {every: 0s}\nsinks:\n  - jsonlog: {rotate: none}\n",
		instance.Home, instance.Offenders)
	for _, f := range list {
		config += fmt.Sprintf("  - kafka: {name: %s, topics: {hits: hits.%s, alerts: alerts, canary: canary}, timeout: 3s, %s}\n"+
			"    delivery: {backoff_max: 1s}\n", f.name, f.name, f.config)
	}
	return config
}

// faults are all that can be wrong on the way to this broker.
func faults(t *testing.T, b *broker, ca *authority.Authority) []fault {
	t.Helper()
	dir := t.TempDir()
	wrong := filepath.Join(dir, "password")
	write(t, wrong, "battery-staple\n")
	known := filepath.Join(dir, "ca.pem")
	write(t, known, read(t, authority.New(t).File))
	away := freeAddress(t)
	mute := listen(t, "127.0.0.1:0")
	held := hold(t, mute)
	createTopic(t, b, "alerts")
	createTopic(t, b, "canary")
	createTopic(t, b, "hits.large", kafkago.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "300"})
	createTopic(t, b, "hits.forbidden")
	denyWriting(t, b, "hits.forbidden")
	sasl := func(mechanism, user, password string) string {
		return fmt.Sprintf("brokers: [%q], create_topics: true, sasl: {mechanism: %s, user: %s, password%s}", b.sasl, mechanism, user, password)
	}
	return []fault{
		{"down", at(away) + ", create_topics: true", []string{"broker not reachable", away},
			func() { relay(t, listen(t, away), b.plain) }, false},
		{"mute", at(mute.Addr().String()) + ", create_topics: true", []string{"no answer in time", mute.Addr().String()},
			func() { held(); relay(t, mute, b.plain) }, false},
		{"password", sasl("scram-sha-512", user, "_file: "+wrong), []string{"authentication failed, check sasl.user and the password", b.sasl},
			func() { write(t, wrong, password+"\n") }, false},
		{"user", sasl("scram-sha-256", "later", ": "+password), []string{"authentication failed, check sasl.user and the password", b.sasl},
			func() { createUser(t, b, "later") }, false},
		{"forbidden", sasl("plain", user, ": "+password), []string{"hits.forbidden", "not authorised, the user needs Write and Describe on the topic", b.sasl},
			func() { allowWriting(t, b, "hits.forbidden") }, false},
		{"authority", fmt.Sprintf("%s, create_topics: true, tls: {enabled: true, ca: %s}", at(b.server), known),
			[]string{"of an unknown authority, name it in tls.ca", b.server},
			func() { write(t, known, read(t, ca.File)) }, false},
		{"expired", fmt.Sprintf("%s, create_topics: true, tls: {enabled: true, ca: %s}", at(b.expired), ca.File),
			[]string{"the broker's certificate has expired", b.expired},
			func() { renew(t, b) }, false},
		{"later", at(b.plain), []string{"topic hits.later: unknown there, create it or set create_topics", b.plain},
			func() { createTopic(t, b, "hits.later") }, false},
		{"large", at(b.plain), []string{"topic hits.large", "larger than max.message.bytes of the topic allows", b.plain},
			func() {
				alter(t, b, kafkago.ResourceTypeTopic, "hits.large", "max.message.bytes", "100000")
			}, true},
	}
}

func at(address string) string { return fmt.Sprintf("brokers: [%q]", address) }

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// hold accepts connections and never reads, until release is called; then it ends them,
// and the listener is somebody else's.
func hold(t *testing.T, l net.Listener) (release func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	return func() {
		close(done)
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
		<-ended
	}
}

// relay passes connections on to a broker, which tells its own address then.
func relay(t *testing.T, l net.Listener, broker string) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("tcp", broker)
				if err != nil {
					return
				}
				defer to.Close()
				go io.Copy(to, c)
				_, _ = io.Copy(c, to)
			}()
		}
	}()
}

// client asks a broker to change something.
func client(b *broker) *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(b.plain), Timeout: patience}
}

// createUser makes a user with the password that all have.
func createUser(t *testing.T, b *broker, name string) {
	t.Helper()
	const rounds = 4096
	salt := []byte("a salt of a test")
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(b).AlterUserScramCredentials(t.Context(), &kafkago.AlterUserScramCredentialsRequest{
		Upsertions: []kafkago.UserScramCredentialsUpsertion{{
			Name: name, Mechanism: kafkago.ScramMechanismSha256, Iterations: rounds, Salt: salt, SaltedPassword: salted,
		}},
	})
	for n := 0; err == nil && n < len(res.Results); n++ {
		err = res.Results[n].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// renew gives the listener whose certificate has expired a good one, as an operator does
// who does not want to restart the broker.
func renew(t *testing.T, b *broker) {
	t.Helper()
	write(t, b.file("renewed.pem"), read(t, b.file("server.pem")))
	alter(t, b, kafkago.ResourceTypeBroker, fmt.Sprint(b.id), "listener.name.expired.ssl.keystore.location", b.file("renewed.pem"))
}

// alter changes one key of a topic or a broker.
func alter(t *testing.T, b *broker, kind kafkago.ResourceType, name, key, value string) {
	t.Helper()
	res, err := client(b).IncrementalAlterConfigs(t.Context(), &kafkago.IncrementalAlterConfigsRequest{
		Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
			ResourceType: kind, ResourceName: name,
			Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafkago.ConfigOperationSet}},
		}},
	})
	for n := 0; err == nil && n < len(res.Resources); n++ {
		err = res.Resources[n].Error
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, key, err)
	}
}

// denyWriting forbids the user to write to a topic, and waits until the broker does.
func denyWriting(t *testing.T, b *broker, topic string) {
	t.Helper()
	res, err := client(b).CreateACLs(t.Context(), &kafkago.CreateACLsRequest{ACLs: []kafkago.ACLEntry{{
		ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic, ResourcePatternType: kafkago.PatternTypeLiteral,
		Principal: "User:" + user, Host: "*", Operation: kafkago.ACLOperationTypeWrite, PermissionType: kafkago.ACLPermissionTypeDeny,
	}}})
	if err == nil {
		err = errors.Join(res.Errors...)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "writing to "+topic+" is forbidden", func() bool {
		res, err := client(b).DescribeACLs(t.Context(), &kafkago.DescribeACLsRequest{Filter: kafkago.ACLFilter{
			ResourceTypeFilter: kafkago.ResourceTypeTopic, ResourceNameFilter: topic, ResourcePatternTypeFilter: kafkago.PatternTypeLiteral,
			Operation: kafkago.ACLOperationTypeAny, PermissionType: kafkago.ACLPermissionTypeDeny,
		}})
		return err == nil && len(res.Resources) > 0
	})
}

// allowWriting takes back what denyWriting did.
func allowWriting(t *testing.T, b *broker, topic string) {
	t.Helper()
	res, err := client(b).DeleteACLs(t.Context(), &kafkago.DeleteACLsRequest{Filters: []kafkago.DeleteACLsFilter{{
		ResourceTypeFilter: kafkago.ResourceTypeTopic, ResourceNameFilter: topic, ResourcePatternTypeFilter: kafkago.PatternTypeLiteral,
		Operation: kafkago.ACLOperationTypeAny, PermissionType: kafkago.ACLPermissionTypeAny,
	}}})
	for n := 0; err == nil && n < len(res.Results); n++ {
		err = res.Results[n].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}
