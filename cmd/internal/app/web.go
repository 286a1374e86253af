package app

import (
	"net/http"

	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// startWeb serves metrics and health, if the configuration wants that: from early on, as
// reading the lists takes its time.
func (a *App) startWeb() error {
	if a.cfg.Web.Listen == "" {
		return nil
	}
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(a.Status), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := web.NewServer(a.cfg.Web)
	s.Open("/healthz", web.JSON(func() (int, any) { return http.StatusOK, map[string]string{"status": "alive"} }))
	s.Page("/readyz", web.JSON(a.readiness))
	s.Page("/metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2, ErrorHandling: promhttp.ContinueOnError}))
	s.Page("/api/v1/status", web.JSON(a.publicStatus))
	s.Open("/{$}", http.HandlerFunc(frontPage))
	err := s.Start()
	if err != nil && a.cfg.Web == web.DefaultConfig() {
		a.log.Warn("no metrics and no health over HTTP", zap.Error(err)) // nobody asked for them
		return nil
	}
	if err != nil {
		return err
	}
	if a.cfg.Web.IsClear() {
		a.log.Warn("the token for metrics and health crosses the network in clear text; set web.tls, or let a tunnel or proxy do that",
			zap.String("web.listen", a.cfg.Web.Listen))
	}
	a.web = s // a status looks here once everything is ready
	return nil
}

// webStatus is nil where nothing is served.
func (a *App) webStatus() *web.Stats {
	if a.web == nil {
		return nil
	}
	s := a.web.Stats()
	return &s
}

// A Readiness is what /readyz says.
type Readiness struct {
	Ready bool `json:"ready"`
	// Reasons are why not.
	Reasons []string `json:"reasons,omitempty"`
	// Warnings are what is not well and no reason.
	Warnings []string `json:"warnings,omitempty"`
}

// readiness is 503 until the sockets are bound and a set is in force, from the beginning
// of the stop, and while a check is critical.
func (a *App) readiness() (int, any) {
	health := a.Findings()
	warnings := inState(Warning, health)
	why := a.unready() // first: until it is empty other goroutines write what the next line reads
	listed := why == "" && (a.store.Load().Len() > 0 || a.dnsblStatus().lists())
	if reasons := notReady(why, listed, health); len(reasons) > 0 {
		return http.StatusServiceUnavailable, Readiness{Reasons: reasons, Warnings: warnings}
	}
	return http.StatusOK, Readiness{Ready: true, Warnings: warnings}
}

// notReady gives the reasons why an instance is not; why is that of start or stop.
func notReady(why string, listed bool, health []Finding) (reasons []string) {
	if why != "" {
		reasons = append(reasons, why)
	} else if !listed {
		reasons = append(reasons, "nothing is listed")
	}
	return append(reasons, inState(Critical, health)...)
}

// inState tells which checks are in a state, and why.
func inState(s State, health []Finding) (texts []string) {
	for _, f := range health {
		if f.State == s {
			texts = append(texts, f.Check+": "+f.Text)
		}
	}
	return texts
}

// publicStatus is the status without the last hits: their addresses are for the readers
// of the hit log, and on loopback everybody on the host may ask.
func (a *App) publicStatus() (int, any) {
	s := a.Status()
	s.Recent, s.Latest = nil, nil
	return http.StatusOK, s
}

func frontPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(`flowsnitch

/metrics         for Prometheus
/healthz         the process is alive
/readyz          the sockets are bound, something is listed, no check is critical; else 503 and why
/api/v1/status   as 'flowsnitch status --json', without the last hits
`))
}
