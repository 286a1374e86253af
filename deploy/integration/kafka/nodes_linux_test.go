//go:build integration && soak

package kafka

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
)

// TestNodes publishes to three nodes of which one is killed under way: two are enough for
// acks all, and nothing is lost or out of order. Three nodes want a machine of their own, so
// it is among the soaks.
func TestNodes(t *testing.T) {
	const count, offenders, batch = 3000, 97, 100
	need(t, "kcat", "kcat")
	nodes := newCluster(t, authority.New(t), 3)
	cfg := config(nodes[0].plain)
	cfg.Brokers = append(cfg.Brokers, nodes[1].plain, nodes[2].plain)
	cfg.CreateTopics, cfg.Replication = true, 3
	p := producer(t, cfg)
	list := events(count, offenders)
	for first := 0; first < count; first += batch {
		if first == count/2 {
			nodes[0].kill()
		}
		sendAll(t, p, list[first:first+batch], func(err error) { t.Log(err) })
	}
	if s := p.Stats(); s.Delivered != count {
		t.Errorf("%+v", s)
	}
	check(t, kcat(t, nodes[1], "flowsnitch.hits"), list)
}
