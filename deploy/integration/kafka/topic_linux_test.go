//go:build integration || soak

package kafka

import (
	"os/exec"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// published is the account of the topic of the hits.
func published(t *testing.T, b *broker) instance.Account {
	t.Helper()
	return publishedTo(t, b, "flowsnitch.hits")
}

// publishedTo is the account of a topic.
func publishedTo(t *testing.T, b *broker, topic string) instance.Account {
	t.Helper()
	cmd := exec.Command("kcat", "-C", "-q", "-e", "-m", "60", "-b", b.plain, "-t", topic, "-o", "beginning")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := instance.AccountOf(t, out, false)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return a
}
