package app

import (
	"io"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metricPrefix is before the name of every metric.
const metricPrefix = "flowsnitch_"

// A collector gives the numbers of all sections as metrics whenever Prometheus asks.
// Nothing is counted for it. No label has the address of a hit: these are without number.
type collector struct{ registry *observe.Registry }

// Describe sends nothing: which metrics there are depends on which components are ready.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.registry.Metrics() {
		var names, values []string
		for _, l := range s.Labels {
			names, values = append(names, l.Name), append(values, l.Value)
		}
		kind := prometheus.GaugeValue
		if s.IsCounter() {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(metricPrefix+s.Name, s.Help, names, nil), kind, s.Value, values...)
	}
}

// writeMetrics writes the metrics as Prometheus reads them, without those of Go and of the
// process.
func writeMetrics(w io.Writer, registry *observe.Registry) error {
	r := prometheus.NewRegistry()
	if err := r.Register(collector{registry}); err != nil {
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
