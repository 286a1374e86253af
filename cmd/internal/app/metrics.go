package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A metric is one figure of a status.
type metric struct {
	name   string // after flowsnitch_
	help   string
	kind   prometheus.ValueType
	labels []string
	each   func(s *Status, put func(value float64, labels ...string))
}

// counter and gauge shorten the table below.
const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// one makes a metric without labels.
func one(name, help string, kind prometheus.ValueType, f func(*Status) float64) metric {
	return metric{name, help, kind, nil, func(s *Status, put func(float64, ...string)) { put(f(s)) }}
}

// perListener, perSink and perFeed make metrics with one label.
func perListener(name, help string, kind prometheus.ValueType, f func(*ListenerStatus) float64) metric {
	return metric{name, help, kind, []string{"listener"}, func(s *Status, put func(float64, ...string)) {
		for i := range s.Listeners {
			put(f(&s.Listeners[i]), s.Listeners[i].Address)
		}
	}}
}

func perSink(name, help string, kind prometheus.ValueType, f func(*SinkStatus) uint64) metric {
	return metric{name, help, kind, []string{"sink"}, func(s *Status, put func(float64, ...string)) {
		for i := range s.Sinks {
			put(float64(f(&s.Sinks[i])), s.Sinks[i].Name)
		}
	}}
}

func perVersion(name, help string, f func(VersionStatus) uint64) metric {
	return metric{name, help, counter, []string{"version"}, func(s *Status, put func(float64, ...string)) {
		for v, n := range s.Decoded.Versions {
			put(float64(f(n)), v)
		}
	}}
}

// A collector gives a status as metrics, when it is asked: nothing is counted for it.
type collector struct {
	status  func() Status
	metrics []metric
	descs   []*prometheus.Desc
}

func newCollector(status func() Status) *collector {
	c := &collector{status: status, metrics: allMetrics()}
	for _, m := range c.metrics {
		c.descs = append(c.descs, prometheus.NewDesc("flowsnitch_"+m.name, m.help, m.labels, nil))
	}
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
	s := c.status()
	if s.Starting {
		return
	}
	for i, m := range c.metrics {
		m.each(&s, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

// since gives the seconds since a time; 0 when there is none.
func since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(time.Since(t).Seconds(), 0)
}
