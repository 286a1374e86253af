package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// gcPercent is the garbage collector's pace unless GOGC is set. Nearly all
// of the heap is the set, which lives as long as the process, and the path allocates
// nothing: collections are rare whatever the pace, and at half of the usual one the
// heap stays below 1.5 times the set instead of twice.
const gcPercent = 50

// An instance is the process: its memory, its state directory, and what it answers at any
// time.
type instance struct{ a *App }

// Start sets the limits of memory and makes the state directory.
func (i instance) Start() error {
	a := i.a
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" && a.cfg.MemoryLimit > 0 {
		debug.SetMemoryLimit(a.cfg.MemoryLimit)
	}
	concern, err := openStateDir(a.cfg.StateDir)
	if err != nil {
		return err
	}
	if concern != "" {
		a.log.Warn(concern)
	}
	a.warnExposed(&a.cfg)
	return nil
}

// Stop has nothing to end.
func (i instance) Stop(context.Context) error { return nil }

// warnExposed names keys that are missing, and files with secrets that cannot be read, or
// that the wrong people can read or write.
func (a *App) warnExposed(cfg *configs.Config) {
	for _, err := range cfg.CheckKeys(a.opts.ConfigFile) {
		a.log.Warn(err.Error())
	}
	for _, text := range cfg.Exposed(a.opts.ConfigFile) {
		a.log.Warn(text)
	}
}

// Register shows the process.
func (i instance) Register(c *observe.Component) {
	c.Add(observe.Printed("", i.a.instance, printInstance), observe.Printed("memory", memoryStatus, printMemory))
	for _, r := range i.a.routes() {
		c.Add(r)
	}
}

// An InstanceStatus is the process.
type InstanceStatus struct {
	BuildStatus
	Name     string    `json:"name" show:"some" words:""`
	PID      int       `json:"pid" name:"-" show:"always"`
	Since    time.Time `json:"since" name:"-" show:"always" words:"started"`
	Config   string    `json:"config" show:"some" words:"configuration"` // file, or "built-in default"
	StateDir string    `json:"state_dir"`
	Starting bool      `json:"starting,omitempty" name:"-" show:"some" words:"still starting"`
	Ready    bool      `json:"ready" name:"ready" help:"1 while /readyz answers 200."`
}

// A BuildStatus is the version of the program.
type BuildStatus struct {
	Version string `json:"version" label:"version" name:"build_info" help:"1, labelled by the version of the program."`
}

func (a *App) instance() InstanceStatus {
	s := InstanceStatus{
		BuildStatus: BuildStatus{a.opts.Version}, Name: a.cfg.Name, PID: os.Getpid(), Since: byWall(a.since),
		Config: a.opts.ConfigFile, StateDir: a.cfg.StateDir, Starting: !a.ready.Load(),
	}
	if s.Config == "" {
		s.Config = "built-in default"
	}
	_, ready := a.readiness()
	s.Ready = ready.Ready
	return s
}

// A Readiness is the answer of /readyz.
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
	listed := why == "" && (a.store.Load().Len() > 0 || a.dnsbl.status().lists())
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

// inState returns which checks are in a state, and why.
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
		always("/status/report", observe.Local, text(func(w io.Writer) error { return a.registry.WriteText(w, false) })),
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
		observe.Answer(w, http.StatusOK, json.RawMessage(b))
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

// WriteSummary writes the text of all sections, as it is after the stop.
func (a *App) WriteSummary(w io.Writer) error { return a.registry.WriteText(w, true) }

// printInstance prints how long the instance has been running, and from which configuration.
func printInstance(w io.Writer, s InstanceStatus, final bool) {
	if final {
		fmt.Fprintf(w, "\nran %s\n", time.Since(s.Since).Round(time.Second))
		return
	}
	fmt.Fprintf(w, "flowsnitch %s, %s, pid %d, up %s, configuration: %s\n", s.Version, s.Name, s.PID, time.Since(s.Since).Round(time.Second), s.Config)
	fmt.Fprintf(w, "counters   since %s, where no other date is given\n", show.Date(s.Since))
	if s.Starting {
		fmt.Fprintln(w, "still starting")
	}
}

func printMemory(w io.Writer, s MemoryStatus, _ bool) {
	fmt.Fprintf(w, "memory     %s, %d goroutines\n", observe.Size(s.InUse), s.Goroutines)
}
