package app

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// A metric is one figure of a status.
type metric struct {
	name   string // after flowsnitch_
	help   string
	kind   prometheus.ValueType
	labels []string
	each   func(s *Status, put put)
	// settles tells that the figure is a counter which may go back a little, because what
	// counted as lost came late. To Prometheus a counter that goes back has begun anew,
	// and would have counted all that it shows once more.
	settles bool
}

// A put takes one value of a metric, and the values of its labels.
type put func(value float64, labels ...string)

// counter and gauge shorten the tables.
const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// one makes a metric without labels.
func one[N int | int64 | uint64 | float64](name, help string, kind prometheus.ValueType, f func(*Status) N) metric {
	return metric{name: name, help: help, kind: kind, each: func(s *Status, put put) { put(float64(f(s))) }}
}

// settling marks a counter that may go back a little.
func settling(m metric) metric {
	m.settles = true
	return m
}

// allMetrics gives all metrics. None has an address of a hit in its labels: these are
// without number. Exporters are ours, and a status lists 100 of them at most.
func allMetrics() []metric {
	var all []metric
	for _, part := range [][]metric{
		udpMetrics(), decodeMetrics(), exporterMetrics(), hitMetrics(), intelMetrics(), dnsblMetrics(),
		journalMetrics(), sinkMetrics(), canaryMetrics(), selfMetrics(),
	} {
		all = append(all, part...)
	}
	return all
}

// A collector gives a status as metrics, when it is asked: nothing is counted for it.
type collector struct {
	status  func() Status
	metrics []metric
	descs   []*prometheus.Desc

	mu   sync.Mutex
	high []map[string]float64 // of metrics that settle: the highest so far, by labels
}

func newCollector(status func() Status) *collector {
	c := &collector{status: status, metrics: allMetrics()}
	for _, m := range c.metrics {
		c.descs = append(c.descs, prometheus.NewDesc("flowsnitch_"+m.name, m.help, m.labels, nil))
	}
	c.high = make([]map[string]float64, len(c.metrics))
	return c
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect asks for a status and sends it.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock() // a status that is older than another must not be taken in after it
	defer c.mu.Unlock()
	s := c.status()
	for i := range c.metrics {
		c.collect(i, &s, to)
	}
}

func (c *collector) collect(i int, s *Status, to chan<- prometheus.Metric) {
	m, high := &c.metrics[i], make(map[string]float64)
	m.each(s, func(value float64, labels ...string) {
		for j := range labels {
			labels[j] = strings.ToValidUTF8(labels[j], "?")
		}
		if m.settles {
			key := strings.Join(labels, "\x00")
			value = max(value, c.high[i][key])
			high[key] = value
		}
		to <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
	})
	c.high[i] = high // what the status does not list any more is forgotten
}

// WriteMetrics writes a status as /metrics shows it, without the figures of Go and of the
// process. A counter of losses may go back a little from one call to the next.
func WriteMetrics(w io.Writer, s *Status) error {
	r := prometheus.NewRegistry()
	if err := r.Register(newCollector(func() Status { return *s })); err != nil {
		return err
	}
	families, err := r.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}

// age gives the seconds since a time.
func age(t time.Time) float64 { return max(time.Since(t).Seconds(), 0) }

func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
