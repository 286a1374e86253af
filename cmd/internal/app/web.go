package app

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// A controlSocket answers commands on this host, from early on.
type controlSocket struct {
	a *App
	*web.Control
}

// Start opens the socket.
func (c *controlSocket) Start() error {
	c.Control = web.NewControl(c.a.cfg.StateDir)
	c.Serve(c.a.registry.Routes())
	return c.Control.Start()
}

// Stop closes the socket.
func (c *controlSocket) Stop(ctx context.Context) error {
	c.Control.Stop(ctx)
	return nil
}

// A webServer serves metrics and health, if the configuration wants that: from early on, as
// reading the lists takes its time.
type webServer struct {
	a           *App
	*web.Server // nil = nothing is served
}

// Register shows the requests.
func (w *webServer) Register(c *observe.Component) { c.Add(observe.Printed("web", w.status, printWeb)) }

// Start opens the socket.
func (w *webServer) Start() error {
	a := w.a
	if a.cfg.Web.Listen == "" {
		return nil
	}
	if err := CheckExportTokens(a.cfg.Web.ExportTokens); err != nil {
		return err
	}
	s := web.NewServer(a.cfg.Web)
	s.Serve(a.registry.Routes())
	err := s.Start()
	if err != nil && reflect.DeepEqual(a.cfg.Web, web.DefaultConfig()) {
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
	w.Server = s
	a.registry.Component("web").Ready() // its section reads nothing of others
	return nil
}

// Takes the tokens of exports, so that one can be revoked at once.
func (w *webServer) Takes(_ *configs.Config, key string) bool {
	return strings.HasPrefix(key, "web.export_tokens")
}

// Reconfigure puts the tokens of exports into force.
func (w *webServer) Reconfigure(cfg *configs.Config) error {
	if w.Server == nil {
		return nil
	}
	if err := CheckExportTokens(cfg.Web.ExportTokens); err != nil {
		return err
	}
	return w.SetExportTokens(cfg.Web.ExportTokens)
}

// Stop closes the socket.
func (w *webServer) Stop(ctx context.Context) error {
	if w.Server != nil {
		w.Server.Stop(ctx)
	}
	return nil
}

// status is nil where nothing is served.
func (w *webServer) status() *web.Stats {
	if w.Server == nil {
		return nil
	}
	s := w.Stats()
	return &s
}

// printWeb prints the requests, if some of them were refused.
func printWeb(w io.Writer, x *web.Stats, _ bool) {
	if x == nil {
		return
	}
	lost := show.Some(show.Count(x.Unauthorized, "requests without the token"), show.Count(x.Busy, "requests too many at once"),
		show.Count(x.Refused, "connections too many at once"), show.Count(x.Errors, "connections that failed"))
	if lost != "" {
		fmt.Fprintf(w, "web        %d requests%s\n", x.Requests, lost)
	}
}
