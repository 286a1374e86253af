package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
)

// TestConsume reads what a sink has published.
func TestConsume(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flowsnitch.hits", "flowsnitch.alerts"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := cluster.ListenAddrs()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	cfg.CreateTopics = true
	p, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	var events []intel.Event
	for i := range 5 {
		events = append(events, intel.Event{Kind: intel.KindHit, ID: uuid.Must(uuid.NewV7()), Time: time.Now(),
			Offender: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", i)), Clock: "ok"})
	}
	events = append(events, intel.Event{Kind: intel.KindAlert, ID: uuid.Must(uuid.NewV7()), Time: time.Now(), Alert: "feed_held_back"})
	if err := p.Send(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(brokers, ",")
	r := command(t, "consume", "--brokers", all, "--from", "first", "--count", "5")
	if r.code != exitDone || r.err != "" || strings.Count(r.out, "\n") != 5 || !strings.Contains(r.out, `"offender":"203.0.113.4"`) {
		t.Errorf("hits: %+v", r)
	}
	config := file(t, "f.yml", fmt.Sprintf("sinks: [{kafka: {brokers: [%q]}}]\n", brokers[0]))
	r = command(t, "consume", "-c", config, "--topic", "flowsnitch.alerts", "--from", "first", "--count", "1", "--meta")
	if r.code != exitDone || !strings.HasPrefix(r.out, "flowsnitch.alerts\t0\t0\t") ||
		!strings.Contains(r.out, "\tevent=alert v=1 content-type=application/json\t{") || !strings.Contains(r.out, "feed_held_back") {
		t.Errorf("alerts: %+v", r)
	}
	r = command(t, "consume", "--brokers", all, "--from", "-2", "--count", "2")
	if r.code != exitDone || strings.Count(r.out, "\n") != 2 || strings.Index(r.out, "203.0.113.3") > strings.Index(r.out, "203.0.113.4") {
		t.Errorf("the latest two: %+v", r)
	}
	for _, wrong := range [][]string{{"--from", "yesterday"}, {"--count", "-1"}} {
		if r = command(t, append([]string{"consume", "--brokers", all}, wrong...)...); r.code != exitUsage || !strings.Contains(r.err, wrong[0]) {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	r = command(t, "consume", "--brokers", all, "--topic", "none")
	if r.code != exitFailed || !strings.Contains(r.err, "none") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("a topic that is not there: %+v", r)
	}
	if r = command(t, "consume"); r.code != exitUsage || !strings.Contains(r.err, "no Kafka sink in the configuration") {
		t.Errorf("without brokers: %+v", r)
	}
}
