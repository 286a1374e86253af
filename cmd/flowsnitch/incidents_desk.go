package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// A desk answers questions about incidents, and does what an operator decides: the running
// instance, or the database in its state directory.
type desk interface {
	List(context.Context, incident.Query) (incident.Page[incident.Incident], error)
	Hosts(context.Context, incident.Query) (incident.Page[incident.HostRow], error)
	Get(context.Context, netip.Addr) (*incident.Incident, error)
	// Host gives the incidents of a host of ours, at each site where there is one.
	Host(context.Context, netip.Addr) ([]app.HostIncidents, error)
	// AlertsAbout gives the alerts about an offender or a host of ours, the newest first.
	AlertsAbout(context.Context, netip.Addr) ([]incident.Alert, error)
	Act(context.Context, app.Act) (*app.Acted, error)
	Verdicts(context.Context) ([]incident.Verdict, error)
	// Quiet gives the silences in force of an address, as offender or as host of ours, and what
	// allows it for a time.
	Quiet(context.Context, netip.Addr) (app.Quiet, error)
}

// errNoIncident means that nothing is known of an address.
var errNoIncident = store.ErrUnknown

// withDesk calls f with the running instance, or where none is running, with the database in
// the state directory, which standard error states then.
func withDesk(c *cobra.Command, file string, f func(desk) error) error {
	return atDesk(c, file, true, func(d desk, _ *configs.Config) error { return f(d) })
}

// atDesk is withDesk for commands that need the configuration, or write.
func atDesk(c *cobra.Command, file string, readOnly bool, f func(desk, *configs.Config) error) error {
	cfg, from, err := locate(c, file)
	if err != nil {
		return err
	}
	files := databaseHolds
	if !readOnly {
		files = databaseChanged
	}
	answered, err := from.ask(c, cfg.StateDir, files, func() error { return f(remoteDesk{cfg.StateDir}, &cfg) })
	if answered {
		return err
	}
	local, err := openDesk(c.Context(), &cfg, readOnly)
	if err != nil {
		return err
	}
	return errors.Join(f(local, &cfg), local.close(c.Context()))
}

// deskBeside gives the desk for what a command shows beside its own answer, which has stated where
// that is from; nil where no incidents are kept or there is no database yet. end must be called.
func deskBeside(ctx context.Context, cfg *configs.Config) (d desk, end func(), err error) {
	end = func() {}
	if !cfg.Incidents.Enabled {
		return nil, end, nil
	}
	if answers(cfg.StateDir) {
		return remoteDesk{cfg.StateDir}, end, nil
	}
	local, err := openDesk(ctx, cfg, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, end, nil
	}
	if err != nil {
		return nil, end, err
	}
	return local, func() { _ = local.close(ctx) }, nil
}

// What is read or changed where no instance is running, for [origin.ask].
const (
	databaseHolds   = "this is what the database of incidents holds"
	databaseChanged = "the database of incidents is changed directly"
)

// A localDesk is a database without an instance.
type localDesk struct {
	app.Desk
	release func() error // of the lock of the state directory; nil = none was taken
}

// openDesk opens the database. To write it takes the lock of the state directory first, so
// that no instance starts meanwhile.
func openDesk(ctx context.Context, cfg *configs.Config, readOnly bool) (*localDesk, error) {
	l := &localDesk{release: func() error { return nil }}
	if !readOnly {
		release, err := web.LockStateDir(cfg.StateDir)
		if err != nil {
			return nil, err
		}
		l.release = release
	}
	d, err := app.OpenDesk(ctx, cfg, readOnly, web.OurName())
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	l.Desk = d
	return l, nil
}

func (l *localDesk) close(ctx context.Context) error {
	return errors.Join(l.Close(ctx), l.release())
}

// A remoteDesk is a running instance, by its state directory.
type remoteDesk struct{ dir string }

// List gives a page of incidents.
func (d remoteDesk) List(ctx context.Context, q incident.Query) (page incident.Page[incident.Incident], err error) {
	return page, d.get(ctx, app.IncidentsPath+"?"+q.Values().Encode(), &page)
}

// Hosts gives a page of hosts.
func (d remoteDesk) Hosts(ctx context.Context, q incident.Query) (page incident.Page[incident.HostRow], err error) {
	return page, d.get(ctx, app.HostsPath+"?"+q.Values().Encode(), &page)
}

// Get gives one incident.
func (d remoteDesk) Get(ctx context.Context, a netip.Addr) (*incident.Incident, error) {
	var i incident.Incident
	return &i, d.get(ctx, app.IncidentsPath+"/"+a.String(), &i)
}

// Host gives the incidents of a host.
func (d remoteDesk) Host(ctx context.Context, a netip.Addr) (list []app.HostIncidents, err error) {
	return list, d.get(ctx, app.HostsPath+"/"+a.String(), &list)
}

// AlertsAbout gives the alerts about an address.
func (d remoteDesk) AlertsAbout(ctx context.Context, a netip.Addr) (list []incident.Alert, err error) {
	return list, d.get(ctx, app.AlertsPath+"/"+a.String(), &list)
}

// Verdicts gives what has been found out about feeds.
func (d remoteDesk) Verdicts(ctx context.Context) (list []incident.Verdict, err error) {
	return list, d.get(ctx, app.VerdictsPath, &list)
}

// Quiet gives the silences of an address.
func (d remoteDesk) Quiet(ctx context.Context, a netip.Addr) (q app.Quiet, err error) {
	var l []app.Lookup
	if err = d.get(ctx, "/lookup?prefix="+netip.PrefixFrom(a, a.BitLen()).String(), &l); err == nil && len(l) == 1 {
		q = l[0].Quiet
	}
	return q, err
}

// Act does what an operator decides.
func (d remoteDesk) Act(ctx context.Context, a app.Act) (*app.Acted, error) {
	var done app.Acted
	path := app.IncidentsPath + "/" + a.Offender.String() + "/" + url.PathEscape(string(a.Act))
	return &done, known(web.Request(ctx, d.dir, http.MethodPost, path+"?"+a.Values().Encode(), &done))
}

func (d remoteDesk) get(ctx context.Context, path string, v any) error {
	return known(web.Ask(ctx, d.dir, path, v))
}

// known gives the error of the store for the answer that nothing is known.
func known(err error) error {
	if refused, ok := errors.AsType[*web.RefusedError](err); ok && refused.Status == http.StatusNotFound {
		return errNoIncident
	}
	return err
}
