//go:build integration || soak

package kafka

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The user of the SASL listener, in each mechanism.
const (
	user     = "snitch"
	password = "correct-horse"
)

// A broker is one node of Apache Kafka. Its files and ports outlive its process.
type broker struct {
	id        int
	jars, dir string
	// host:port of each listener. server wants no certificate of clients, ssl does; the
	// certificate of expired has expired.
	plain, sasl, saslSSL, ssl, server, expired, ctrl string

	process *exec.Cmd
	ended   chan struct{} // closed when process has ended
}

// newBroker starts a broker on free ports. It takes certificates of ca only.
func newBroker(t *testing.T, ca *authority.Authority) *broker {
	t.Helper()
	return newCluster(t, ca, 1)[0]
}

// newCluster starts brokers on free ports, each a controller, too.
func newCluster(t *testing.T, ca *authority.Authority, nodes int) (all []*broker) {
	t.Helper()
	var voters []string
	for i := range nodes {
		b := &broker{id: i + 1, jars: artifacts(t), dir: t.TempDir()}
		b.findPorts(t)
		voters = append(voters, fmt.Sprintf("%d@%s", b.id, b.ctrl))
		all = append(all, b)
	}
	for _, b := range all {
		b.format(t, ca, voters)
		b.launch(t)
	}
	for _, b := range all {
		b.await(t)
	}
	return all
}

// findPorts gives a free port of loopback to each listener that has none.
func (b *broker) findPorts(t *testing.T) {
	t.Helper()
	for _, address := range []*string{&b.plain, &b.sasl, &b.saslSSL, &b.ssl, &b.server, &b.expired, &b.ctrl} {
		if *address == "" {
			*address = freeAddress(t)
		}
	}
}

// format writes the configuration and makes the storage.
func (b *broker) format(t *testing.T, ca *authority.Authority, voters []string) {
	t.Helper()
	cert, key := ca.Issue(t)
	write(t, b.file("server.pem"), read(t, key)+read(t, cert))
	cert, key = ca.IssueFor(t, "", time.Now().Add(-time.Minute))
	write(t, b.file("expired.pem"), read(t, key)+read(t, cert))
	write(t, b.file("server.properties"), b.properties(ca, voters))
	out, err := b.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", b.file("server.properties"),
		"--add-scram", fmt.Sprintf("SCRAM-SHA-256=[name=%s,password=%s]", user, password),
		"--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", user, password)).CombinedOutput()
	if err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			log, _ := os.ReadFile(b.file("out"))
			t.Logf("the end of what broker %d printed:\n%s", b.id, log[max(0, len(log)-5000):])
		}
	})
}

func (b *broker) file(name string) string { return filepath.Join(b.dir, name) }

func (b *broker) java(class string, args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xms256m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", b.jars + "/*", class}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (b *broker) properties(ca *authority.Authority, voters []string) string {
	listeners := fmt.Sprintf("PLAINTEXT://%s,SASL_PLAINTEXT://%s,SASL_SSL://%s,SSL://%s,SERVER://%s,EXPIRED://%s",
		b.plain, b.sasl, b.saslSSL, b.ssl, b.server, b.expired)
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	plain := fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=\"%s\";", user, password)
	return strings.Join([]string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", b.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("min.insync.replicas=%d", len(voters)/2+1),
		"listeners=" + listeners + ",CONTROLLER://" + b.ctrl,
		"advertised.listeners=" + listeners,
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,SERVER:SSL,EXPIRED:SSL",
		"log.dirs=" + b.file("data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"num.partitions=5",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl_plaintext.plain.sasl.jaas.config=" + plain,
		"listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=" + scram,
		"listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=" + scram,
		"listener.name.sasl_ssl.plain.sasl.jaas.config=" + plain,
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=" + scram,
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=" + scram,
		"listener.name.ssl.ssl.client.auth=required",
		"listener.name.expired.ssl.keystore.type=PEM",
		"listener.name.expired.ssl.keystore.location=" + b.file("expired.pem"),
		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + b.file("server.pem"),
		"ssl.truststore.type=PEM",
		"ssl.truststore.location=" + ca.File,
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
		"allow.everyone.if.no.acl.found=true",
	}, "\n")
}

// start starts the process and waits until the broker listens.
func (b *broker) start(t *testing.T) {
	t.Helper()
	b.launch(t)
	b.await(t)
}

func (b *broker) launch(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(b.file("out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	b.process = b.java("kafka.Kafka", b.file("server.properties"))
	b.process.Stdout, b.process.Stderr = out, out
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	b.ended = make(chan struct{})
	go func() {
		defer close(b.ended)
		_ = b.process.Wait()
	}()
}

func (b *broker) await(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", b.plain)
		if err == nil {
			c.Close()
			return
		}
		if b.hasEnded() {
			t.Fatal("the broker has ended")
		}
		if time.Now().After(end) {
			t.Fatalf("the broker does not listen %v after its start: %v", patience, err)
		}
	}
}

// kill ends the process as a power cut would, as far as the disk is concerned.
func (b *broker) kill() {
	if b.process != nil {
		_ = b.process.Process.Kill()
		<-b.ended
	}
}

func (b *broker) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b)) + "\n"
}

func config(broker string) kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{broker}
	return cfg
}
