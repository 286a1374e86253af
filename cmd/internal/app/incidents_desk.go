package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/intel/silence"
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
	// Still is why no feed may list an offender all the same whose incident is open again.
	Still []silence.Allowed `json:"still_allowed,omitempty"`
}

// A Desk is the database of incidents, in an instance or without one, with an author.
type Desk struct {
	*store.Store
	author string
	now    func() time.Time
	allow  allowlist
}

// OpenDesk opens the database of a configuration where no instance is running. Whoever
// writes must have the lock of the state directory.
func OpenDesk(ctx context.Context, cfg *configs.Config, readOnly bool, author string) (Desk, error) {
	c := IncidentsConfig(cfg)
	c.ReadOnly = readOnly
	if c.Database == "" {
		if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) { // else whoever writes would make one
			return Desk{}, &absentError{cfg.StateDir}
		}
	}
	s, err := store.Open(ctx, c)
	return Desk{Store: s, author: author, now: time.Now, allow: allowedOffline(cfg)}, notOpened(&c, readOnly, err)
}

// An absentError means that there is no database; it is [fs.ErrNotExist].
type absentError struct{ dir string }

func (e *absentError) Error() string {
	return fmt.Sprintf("there is no database of incidents in %s yet: no instance has run with this configuration, or incidents.enabled is false", e.dir)
}

func (e *absentError) Unwrap() error { return fs.ErrNotExist }

// notOpened makes one clear sentence of why a database cannot be opened.
func notOpened(c *store.Config, readOnly bool, err error) error {
	if err == nil {
		return nil
	}
	if c.Database == "" {
		way := os.O_RDWR
		if readOnly {
			way = os.O_RDONLY
		}
		f, denied := os.OpenFile(c.Path, way, 0)
		switch {
		case errors.Is(denied, fs.ErrPermission) && readOnly:
			return fmt.Errorf("%s: permission denied: %s; to read it, a member of its group will do", c.Path, runAs)
		case errors.Is(denied, fs.ErrPermission):
			return fmt.Errorf("%s: permission denied: %s", c.Path, runAs)
		case denied == nil:
			f.Close()
		}
		if text := err.Error(); strings.Contains(text, "readonly database") || strings.Contains(text, "unable to open") {
			return fmt.Errorf("%s: the folder must be writable to open the database while no instance is running: %s (%s)", c.Path, runAs, oneLine(text))
		}
	}
	if text := err.Error(); strings.ContainsAny(text, "\n\t") { // the errors of pgx
		return errors.New(oneLine(text))
	}
	return err
}

// oneLine puts a text of several lines into one.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// A Quiet is what keeps events of an address or a prefix away: silences in force that name an
// address in it, as offender or as host of ours, and entries that allow it for a time.
type Quiet struct {
	Silences []silence.Silence `json:"silences,omitempty"`
	Allowed  []silence.Allowed `json:"allowed,omitempty"`
}

func quietOf(b *silence.Book, p netip.Prefix) Quiet { return Quiet{b.Match(p), b.MatchAllowed(p)} }

// Quiet gives the silences of an address from the file.
func (d Desk) Quiet(_ context.Context, a netip.Addr) (Quiet, error) {
	b, err := d.allow.book()
	if err != nil {
		return Quiet{}, err
	}
	return quietOf(b, netip.PrefixFrom(a, a.BitLen())), nil
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

// Act does what an operator decides. What is a false alarm already can be allowed afterwards.
func (d Desk) Act(ctx context.Context, a Act) (*Acted, error) {
	i, err := d.Store.Act(ctx, incident.Action{Act: a.Act, Offender: a.Offender, Author: d.author, Text: a.Text, Force: a.Force, At: d.now()})
	if _, refused := errors.AsType[*store.ActionError](err); refused && a.Allow > 0 {
		if was, e := d.Get(ctx, a.Offender); e == nil && was.State == incident.FalseAlarm {
			i, err = was, nil
		}
	}
	if err != nil {
		return nil, err
	}
	done := &Acted{Incident: i}
	switch {
	case a.Allow > 0:
		if done.Allowed, err = d.allow.add(a.Offender, a.Text, d.author, a.Allow); err != nil {
			return nil, fmt.Errorf("marked as a false alarm, but not allowed: %w", err)
		}
	case a.Act == incident.ActReopen:
		done.Still = d.allow.of(a.Offender)
	}
	return done, nil
}

// maxAlertsAbout is how many alerts there are about one address, the newest.
const maxAlertsAbout = 20

// AlertsAbout gives the alerts that are kept about an address, as offender or as host of ours, the
// newest first.
func (d Desk) AlertsAbout(ctx context.Context, a netip.Addr) ([]incident.Alert, error) {
	return d.Alerts(ctx, a, time.Unix(0, 0), maxAlertsAbout)
}
