package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// A HostIncidents is one host of ours with its incidents, the worst first.
type HostIncidents struct {
	Host      *incident.HostRow   `json:"host"`
	Incidents []incident.Incident `json:"incidents"`
}

// An Act is what an operator decides about one incident.
type Act struct {
	Act      incident.Act
	Offender netip.Addr
	Text     string
	Force    bool // take it from somebody else
	// Allow adds the offender to what no feed may list, for a time, with Text as the reason.
	Allow time.Duration
}

// Values gives the parameters of the request.
func (a *Act) Values() url.Values {
	v := url.Values{}
	if a.Text != "" {
		v.Set("text", a.Text)
	}
	if a.Force {
		v.Set("force", "true")
	}
	if a.Allow > 0 {
		v.Set("allow", a.Allow.String())
	}
	return v
}

// parseAct reads what Values gives.
func parseAct(act string, offender netip.Addr, v url.Values) (a Act, err error) {
	a = Act{Act: incident.Act(act), Offender: offender, Text: v.Get("text"), Force: v.Get("force") == "true"}
	if s := v.Get("allow"); s != "" {
		if a.Allow, err = time.ParseDuration(s); err != nil || a.Allow <= 0 {
			return a, fmt.Errorf("allow: %q is no duration such as 720h", s)
		}
	}
	if a.Allow > 0 && a.Act != incident.ActFalseAlarm {
		return a, errors.New("allow: is for false alarms only")
	}
	return a, nil
}

// An Acted is what became of an act.
type Acted struct {
	Incident *incident.Incident `json:"incident"`
	// Allowed is until when no feed may list the offender; zero = that was not asked for.
	Allowed time.Time `json:"allowed_until,omitzero"`
}

// A Desk is the database of incidents, in an instance or without one, with an author.
type Desk struct {
	*store.Store
	author string
	now    func() time.Time
	allow  func(p netip.Prefix, reason, author string, until time.Time) error
}

// OpenDesk opens the database of a configuration where no instance is running. Whoever
// writes must have the lock of the state directory.
func OpenDesk(ctx context.Context, cfg *configs.Config, readOnly bool, author string) (Desk, error) {
	c := IncidentsConfig(cfg)
	c.ReadOnly = readOnly
	s, err := store.Open(ctx, c)
	return Desk{Store: s, author: author, now: time.Now, allow: allowOffline(cfg)}, err
}

// maxSites is how many sites of one address are shown.
const maxSites = 20

// Host gives the incidents of a host of ours, at each site where there is one.
func (d Desk) Host(ctx context.Context, a netip.Addr) ([]HostIncidents, error) {
	hosts, err := d.Sites(ctx, a)
	if err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		return nil, store.ErrUnknown
	}
	var list []HostIncidents
	for _, h := range hosts[:min(len(hosts), maxSites)] {
		row, incidents, err := d.Of(ctx, h)
		if err != nil {
			return nil, err
		}
		list = append(list, HostIncidents{row, incidents})
	}
	return list, nil
}

// Act does what an operator decides.
func (d Desk) Act(ctx context.Context, a Act) (*Acted, error) {
	now := d.now()
	i, err := d.Store.Act(ctx, incident.Action{Act: a.Act, Offender: a.Offender, Author: d.author, Text: a.Text, Force: a.Force, At: now})
	if err != nil {
		return nil, err
	}
	done := &Acted{Incident: i}
	if a.Allow > 0 {
		until := now.Add(a.Allow).Truncate(time.Second)
		p := netip.PrefixFrom(a.Offender, a.Offender.BitLen())
		if err := d.allow(p, a.Text, d.author, until); err != nil {
			return nil, fmt.Errorf("marked as a false alarm, but not allowed: %w", err)
		}
		done.Allowed = until
	}
	return done, nil
}
