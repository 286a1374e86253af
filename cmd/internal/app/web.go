package app

import (
	"io"
	"net/http"

	"github.com/flowsnitch/flowsnitch/flow/observe"
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
	s := web.NewServer(a.cfg.Web)
	s.Serve(a.registry.Routes())
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
	a.web = s
	a.registry.Component(partWeb).Ready()
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
func (a *App) readiness() (int, Readiness) {
	health := a.Findings()
	warnings := inState(observe.Warning, health)
	why := a.unready() // first: until it is empty other goroutines write what the next line reads
	listed := why == "" && (a.store.Load().Len() > 0 || a.dnsblStatus().lists())
	if reasons := notReady(why, listed, health); len(reasons) > 0 {
		return http.StatusServiceUnavailable, Readiness{Reasons: reasons, Warnings: warnings}
	}
	return http.StatusOK, Readiness{Ready: true, Warnings: warnings}
}

// notReady gives the reasons why an instance is not; why is that of start or stop.
func notReady(why string, listed bool, health []observe.Finding) (reasons []string) {
	if why != "" {
		reasons = append(reasons, why)
	} else if !listed {
		reasons = append(reasons, "nothing is listed")
	}
	return append(reasons, inState(observe.Critical, health)...)
}

// inState tells which checks are in a state, and why.
func inState(s observe.State, health []observe.Finding) (texts []string) {
	for _, f := range health {
		if f.State == s {
			texts = append(texts, f.Check+": "+f.Text)
		}
	}
	return texts
}

// routes are what the instance itself answers, at any time.
func (a *App) routes() []observe.Route {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a.registry}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	always := func(path string, role observe.Role, h http.Handler) observe.Route {
		return observe.Route{Method: http.MethodGet, Path: path, Role: role, Handler: h, Always: true}
	}
	return []observe.Route{
		always("/healthz", observe.Public, web.JSON(func() (int, any) { return http.StatusOK, map[string]string{"status": "alive"} })),
		always("/readyz", observe.Reader, web.JSON(func() (int, any) { return a.readiness() })),
		always("/metrics", observe.Reader, promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2, ErrorHandling: promhttp.ContinueOnError})),
		always("/api/v1/status", observe.Reader, a.statusJSON(false)),
		always("/{$}", observe.Public, http.HandlerFunc(frontPage)),
		always("/status", observe.Local, a.statusJSON(true)),
		always("/status/text", observe.Local, text(a.registry.WriteText)),
		always("/status/metrics", observe.Local, text(func(w io.Writer) error { return writeMetrics(w, a.registry) })),
		always("/status/samples", observe.Local, observe.JSON(func(*http.Request) (any, error) { return a.registry.Samples(), nil })),
	}
}

// statusJSON serves all sections.
func (a *App) statusJSON(private bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b, err := a.registry.AppendJSON(nil, private)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(append(b, '\n'))
	})
}

// text serves what write writes.
func text(write func(io.Writer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = write(w) // the client is gone: there is nobody to report to
	})
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
