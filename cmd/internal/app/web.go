package app

import (
	"net/http"

	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// startWeb serves metrics and health, if the configuration wants that.
func (a *App) startWeb() error {
	if a.cfg.Web.Listen == "" {
		return nil
	}
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(a.Status), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := web.NewServer(a.cfg.Web)
	s.Open("/healthz", web.JSON(func() (int, any) { return http.StatusOK, map[string]string{"status": "alive"} }))
	s.Page("/readyz", web.JSON(a.readiness))
	s.Page("/metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	s.Page("/api/v1/status", web.JSON(func() (int, any) { return http.StatusOK, a.Status() }))
	s.Open("/{$}", http.HandlerFunc(frontPage))
	if err := s.Start(); err != nil {
		return err
	}
	a.web = s
	return nil
}

// A Readiness is what /readyz says.
type Readiness struct {
	Ready bool `json:"ready"`
	// Reasons are why not.
	Reasons []string `json:"reasons,omitempty"`
}

// readiness is 503 until the sockets are bound and a set is in force, and while a check
// is critical.
func (a *App) readiness() (int, any) {
	var r Readiness
	if !a.ready.Load() {
		r.Reasons = append(r.Reasons, "starting")
	} else if a.store.Load().Len() == 0 {
		r.Reasons = append(r.Reasons, "nothing is listed")
	}
	for _, f := range a.Findings() {
		if f.State == Critical {
			r.Reasons = append(r.Reasons, f.Check+": "+f.Text)
		}
	}
	if len(r.Reasons) > 0 {
		return http.StatusServiceUnavailable, r
	}
	return http.StatusOK, Readiness{Ready: true}
}

func frontPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(`flowsnitch

/metrics         for Prometheus
/healthz         the process is alive
/readyz          the sockets are bound, something is listed, no check is critical; else 503 and why
/api/v1/status   all that 'flowsnitch status' knows, as JSON
`))
}
