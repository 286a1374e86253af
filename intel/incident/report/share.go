package report

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// TLPs are the labels that MaxTLP may have, the least restricted first.
var TLPs = []string{"clear", "green", "amber", "amber+strict", "red"}

// DefaultTLP is what a report may show unless the operator allows more.
const DefaultTLP = "green"

func validTLP(label string) error {
	if !slices.Contains(TLPs, label) {
		return fmt.Errorf("%q is not a label; use %s", label, strings.Join(TLPs, ", "))
	}
	return nil
}

// hidden stands for the reason of an offender that must not be named.
const hidden = "\x00"

// A censor takes out of rows what only restricted listings know.
type censor struct {
	source Source
	most   string
	known  map[netip.Addr]string // by offender: "" = its own reason holds, else the reason, or hidden
}

// judge gives the reason that may be shown for an offender: empty for its own, hidden for
// none.
func (c *censor) judge(ctx context.Context, offender netip.Addr) (string, error) {
	if reason, ok := c.known[offender]; ok {
		return reason, nil
	}
	i, err := c.source.Get(ctx, offender)
	if err != nil {
		return "", err
	}
	reason := reasonWithin(i.Listings, intel.TLPRank(c.most))
	c.known[offender] = reason
	return reason, nil
}

// reasonWithin makes a reason of the listings up to a rank; empty if that is all of them.
func reasonWithin(listings []incident.Listing, most int) string {
	var parts []string
	restricted := false
	for i := range listings {
		l := &listings[i]
		if intel.TLPRank(l.TLP) > most {
			restricted = true
			continue
		}
		what := l.Category
		if what == "" {
			what = "listed"
		}
		parts = append(parts, fmt.Sprintf("%s by %s (%d)", what, l.Feed, l.Score))
	}
	switch {
	case !restricted:
		return ""
	case len(parts) == 0:
		return hidden
	}
	return strings.Join(parts[:min(len(parts), 3)], ", ")
}

// incidents gives the rows that may be shown.
func (c *censor) incidents(ctx context.Context, rows []incident.Incident) ([]incident.Incident, error) {
	shown := make([]incident.Incident, 0, len(rows))
	for _, i := range rows {
		reason, err := c.judge(ctx, i.Offender)
		if err != nil {
			return nil, err
		}
		if reason == hidden {
			continue
		}
		if reason != "" {
			i.Reason = reason
		}
		shown = append(shown, i)
	}
	return shown, nil
}

// hosts takes offenders out of the rows of hosts.
func (c *censor) hosts(ctx context.Context, rows []incident.HostRow) error {
	for n := range rows {
		shown := rows[n].Top[:0:0]
		for _, offender := range rows[n].Top {
			reason, err := c.judge(ctx, offender)
			if err != nil {
				return err
			}
			if reason != hidden {
				shown = append(shown, offender)
			}
		}
		rows[n].Top = shown
	}
	return nil
}

// withheld is how many offenders were left out.
func (c *censor) withheld() (n int) {
	for _, reason := range c.known {
		if reason == hidden {
			n++
		}
	}
	return n
}
