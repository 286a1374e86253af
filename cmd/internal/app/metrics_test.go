package app

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// fullStatus has something of everything.
func fullStatus() Status {
	now := time.Now()
	s := Status{InstanceStatus: InstanceStatus{BuildStatus: BuildStatus{"1.2.3"}, Since: now.Add(-time.Hour)}, Web: &web.Stats{Requests: 3}, DNSBL: &DNSBLStatus{Zones: []dnsbl.ZoneStatus{{Zone: "dnsbl.example.net", IPv4: true}}}}
	s.Listeners = []ListenerStatus{{Address: "[::]:2055", Datagrams: 5, KernelDropsKnown: true, KernelDrops: 2, Beat: now}, {Address: "[::]:4739", Beat: now}}
	s.Decoded.Versions = map[string]VersionStatus{"v9": {Records: 7}}
	s.Decoded.Problems = map[decode.Reason]uint64{"set_cut": 4}
	s.Exporters.Lost = decode.Losses{Flows: 10, Records: 20, Datagrams: 30}
	s.Exporters.List = []decode.ExporterStatus{exporter("192.0.2.1", 9)}
	s.Intel.Feeds = []fetch.Status{{Name: "otx", Taken: now, Refused: map[lookup.Reason]int{"home": 2, "reserved": 3}}, {Name: "never"}, {Name: "warn", Class: "scanner", Stopped: 6}}
	s.Intel.Built = now
	s.Clock = ClockStatus{State: "ok", Trusted: now.Add(90 * time.Second)}
	s.Hits.Feeds = []listing.FeedHits{{Feed: "otx", Direction: event.Outbound, Hits: 8}, {Feed: "deny", Direction: event.Inbound, Hits: 1}}
	s.Hits.Correlator.Severities = [4]uint64{1, 2, 3, 4}
	s.Sinks = []SinkStatus{{Name: "kafka", Dropped: 1, Failed: 2, Failing: true}}
	s.Canary = canary.Status{EverySeconds: 60, Stages: map[string]float64{"journal": 1500}, Sinks: map[string]canary.At{"kafka": {}}}
	s.Health = []observe.Finding{{Check: "sinks", State: observe.Critical, Text: "kafka cannot deliver"}}
	return s
}

// exporter is one of which a number of datagrams was lost.
func exporter(addr string, lost uint64) decode.ExporterStatus {
	e := decode.ExporterStatus{LastSeen: time.Now(), Streams: []decode.StreamStatus{{Datagrams: 1}, {Datagrams: 2}}}
	e.Address = netip.MustParseAddr(addr)
	e.Streams[1].Lost = lost
	return e
}

// scraped gives what a collector sends, as text.
func scraped(t *testing.T, c collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return written(t, all)
}

// TestMetrics: each figure of a status is found under its name.
func TestMetrics(t *testing.T) {
	text := scraped(t, collector{registryOf(fullStatus)})
	for _, want := range []string{
		`flowsnitch_build_info{version="1.2.3"} 1`,
		`flowsnitch_udp_packets_total{listener="[::]:2055"} 5`,
		`flowsnitch_udp_kernel_drops_total{listener="[::]:2055"} 2`,
		`flowsnitch_records_total{version="v9"} 7`,
		`flowsnitch_decode_errors_total{reason="set_cut"} 4`,
		`flowsnitch_lost_records_total{unit="flows"} 10`, `flowsnitch_lost_records_total{unit="records"} 20`, `flowsnitch_lost_datagrams_total 30`,
		`flowsnitch_exporter_datagrams_total{exporter="192.0.2.1"} 3`, `flowsnitch_exporter_lost_total{exporter="192.0.2.1"} 9`,
		`flowsnitch_hits_total{direction="outbound",feed="otx"} 8`, `flowsnitch_hits_total{direction="inbound",feed="otx"} 0`,
		`flowsnitch_hits_total{direction="inbound",feed="deny"} 1`,
		`flowsnitch_hit_events_total{severity="critical"} 4`,
		`flowsnitch_feed_refused_entries{feed="otx",reason="reserved"} 3`,
		`flowsnitch_warninglist_stopped_total{feed="warn"} 6`,
		`flowsnitch_sink_dropped_total{reason="failed",sink="kafka"} 2`, `flowsnitch_sink_failing{sink="kafka"} 1`,
		`flowsnitch_canary_latency_seconds{stage="journal"} 1.5`,
		`flowsnitch_check_state{check="sinks"} 2`, `flowsnitch_ready 0`,
		`flowsnitch_dnsbl_zone_up{family="ipv4",zone="dnsbl.example.net"} 1`, `flowsnitch_web_requests_total 3`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, never := range []string{
		`flowsnitch_udp_kernel_drops_total{listener="[::]:4739"}`, // the kernel does not tell
		`flowsnitch_feed_age_seconds{feed="never"}`,               // nothing that could be old
		`flowsnitch_hits_total{direction="inbound",feed="warn"}`,
		`flowsnitch_canary_sink_latency_seconds{sink="kafka"}`,
		"set_built_timestamp_seconds 0",
	} {
		if strings.Contains(text, never) {
			t.Errorf("there is %s", never)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestAges: what never came is as old as the process, not fresh, and feeds age by the
// date that can be trusted.
func TestAges(t *testing.T) {
	s := fullStatus()
	ages := make(map[string]float64)
	for _, m := range registryOf(func() Status { return s }).Metrics() {
		name := m.Name + " "
		for _, l := range m.Labels {
			name += l.Value
		}
		ages[name] = m.Value
	}
	for name, want := range map[string]float64{"canary_age_seconds ": 3600, "canary_sink_age_seconds kafka": 3600, "feed_age_seconds otx": 90} {
		if got := ages[name]; got < want || got > want+60 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestLossesSettle: a loss that turns out to be none does not look like a counter that
// begins anew, and what is gone from the status is not kept.
func TestLossesSettle(t *testing.T) {
	s := fullStatus()
	c := collector{registryOf(func() Status { return s })}
	for _, tt := range []struct {
		lost, want uint64
	}{{1000, 1000}, {999, 1000}, {1001, 1001}} {
		s.Exporters.Lost.Datagrams = tt.lost
		if text, want := scraped(t, c), number("flowsnitch_lost_datagrams_total", tt.want); !strings.Contains(text, want) {
			t.Errorf("%d lost: no %s", tt.lost, want)
		}
	}
	s.Exporters.List = []decode.ExporterStatus{exporter("192.0.2.2", 1)}
	scraped(t, c)
	s.Exporters.List = []decode.ExporterStatus{exporter("192.0.2.1", 4)}
	if text := scraped(t, c); !strings.Contains(text, `flowsnitch_exporter_lost_total{exporter="192.0.2.1"} 4`+"\n") {
		t.Error("an exporter that was forgotten does not begin anew")
	}
}

// TestOddLabels: bytes that are no text do not break a scrape.
func TestOddLabels(t *testing.T) {
	s := fullStatus()
	s.Sinks[0].Name = "jsonlog:/x/\xff"
	if text := scraped(t, collector{registryOf(func() Status { return s })}); !strings.Contains(text, `sink="jsonlog:/x/?"`) {
		t.Error("the sink is not there")
	}
}

// written gives metrics in the format of a scrape.
func written(t *testing.T, all []*dto.MetricFamily) string {
	t.Helper()
	var b strings.Builder
	for _, f := range all {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func number(name string, n uint64) string { return fmt.Sprintf("%s %d\n", name, n) }
