package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// Paths of the API about incidents.
const (
	IncidentsPath = "/api/v1/incidents"
	HostsPath     = "/api/v1/hosts"
	VerdictsPath  = "/api/v1/verdicts"
	AlertsPath    = "/api/v1/alerts"
)

// queryTime bounds one question.
const queryTime = 25 * time.Second

// Register shows and judges the incidents, and answers questions about them.
func (l *incidentLog) Register(c *observe.Component) {
	c.Add(observe.Printed("incidents", l.status, printIncidents), incidentCheck(l.status))
	get := func(path string, f func(context.Context, *store.Store, *http.Request) (any, error)) {
		c.Add(observe.Route{Method: http.MethodGet, Path: path, Role: observe.Local, Handler: l.answer(f)})
	}
	get(IncidentsPath, func(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
		q, err := incident.ParseQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		return s.List(ctx, q)
	})
	get(HostsPath, func(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
		q, err := incident.ParseQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		return s.Hosts(ctx, q)
	})
	get(IncidentsPath+"/{offender}", func(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
		a, err := address(r, "offender")
		if err != nil {
			return nil, err
		}
		return s.Get(ctx, a)
	})
	get(HostsPath+"/{host}", func(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
		a, err := address(r, "host")
		if err != nil {
			return nil, err
		}
		return l.desk(ctx, s).Host(ctx, a)
	})
	get(AlertsPath+"/{address}", func(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
		a, err := address(r, "address")
		if err != nil {
			return nil, err
		}
		return l.desk(ctx, s).AlertsAbout(ctx, a)
	})
	get(VerdictsPath, func(ctx context.Context, s *store.Store, _ *http.Request) (any, error) { return s.Verdicts(ctx) })
	c.Add(observe.Route{Method: http.MethodPost, Path: IncidentsPath + "/{offender}/{act}", Role: observe.Operator, Handler: l.answer(l.act)})
}

// address reads an address of a path.
func address(r *http.Request, name string) (netip.Addr, error) {
	a, err := netip.ParseAddr(r.PathValue(name))
	if err != nil || a.Zone() != "" {
		return a, fmt.Errorf("%s: %q is not an address", name, r.PathValue(name))
	}
	return a.Unmap(), nil
}

// answer answers with what f finds in the database, after what is pending was committed.
func (l *incidentLog) answer(f func(context.Context, *store.Store, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := l.ready()
		if err != nil {
			observe.Fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), queryTime)
		defer cancel()
		l.freshen(ctx)
		v, err := f(ctx, s, r)
		if err == nil {
			observe.Answer(w, http.StatusOK, v)
			return
		}
		failIncident(w, ctx, err)
	})
}

// failIncident answers with why there is no other answer.
func failIncident(w http.ResponseWriter, ctx context.Context, err error) {
	status := 0
	if errors.Is(err, store.ErrUnknown) {
		status = http.StatusNotFound
	} else if _, ok := errors.AsType[*incident.TakenError](err); ok {
		status = http.StatusConflict
	} else if _, ok := errors.AsType[*store.ActionError](err); ok {
		status = http.StatusConflict
	}
	switch {
	case status > 0:
		observe.Answer(w, status, observe.Failure{Error: err.Error()})
	case ctx.Err() != nil:
		observe.Fail(w, observe.Unavailable("the database of incidents did not answer in time"))
	default:
		observe.Fail(w, err)
	}
}

// desk is the database with the author of a request.
func (l *incidentLog) desk(ctx context.Context, s *store.Store) Desk {
	return Desk{Store: s, author: web.Author(ctx), now: l.now, allow: l.allowed()}
}

// act does what an operator has decided.
func (l *incidentLog) act(ctx context.Context, s *store.Store, r *http.Request) (any, error) {
	offender, err := address(r, "offender")
	if err != nil {
		return nil, err
	}
	a, err := parseAct(r.PathValue("act"), offender, r.URL.Query())
	if err != nil {
		return nil, err
	}
	d := l.desk(r.Context(), s)
	done, err := d.Act(ctx, a)
	if err == nil {
		l.a.log.Info("incident: "+string(a.Act), zap.Stringer("offender", offender), zap.String("author", d.author))
	}
	return done, err
}
