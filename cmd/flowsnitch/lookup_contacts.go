package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

const (
	lastContacts = 5               // that lookup shows of each address
	contactsTime = 3 * time.Second // for those of all addresses together
)

// A lookupHistory is what the history of contacts has of an address.
type lookupHistory struct {
	Began    time.Time  `json:"began,omitzero"`       // the beginning of the history
	Until    time.Time  `json:"until,omitzero"`       // it is complete up to then
	Contacts []hunt.Row `json:"contacts"`             // the last ones, the newest first
	More     bool       `json:"more,omitempty"`       // there may be others
	Lost     uint64     `json:"lost_flows,omitempty"` // flows that the history lost meanwhile
	Error    string     `json:"error,omitempty"`
}

// contactsOf gives the last contacts of each prefix, nil where there is no history, or
// nothing can be in it.
func contactsOf(ctx context.Context, cfg *configs.Config, asked []netip.Prefix) []*lookupHistory {
	ctx, cancel := context.WithTimeout(ctx, contactsTime)
	defer cancel()
	list := make([]*lookupHistory, len(asked))
	for i, p := range asked {
		q := question.Question{Ranges: span.OfAll([]netip.Prefix{p}), Limit: lastContacts, Kept: true}
		if ours, err := q.Check(span.OfAll(cfg.AllHome())); err != nil || ours > 0 {
			continue // a host of ours, or half the internet
		}
		h := &lookupHistory{Contacts: []hunt.Row{}}
		sum, err := h.find(ctx, cfg, &q)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			h.Error = fmt.Sprintf("the history did not answer within %s; ask 'flowsnitch hunt %s'", contactsTime, nameOf(p))
		case err != nil:
			h.Error = err.Error()
		case len(sum.Bad) > 0:
			h.Error = fmt.Sprintf("%s damaged, contacts may be missing", count(len(sum.Bad)+sum.BadMore, "file", "files"))
		case sum.Began.IsZero():
			continue
		}
		h.Began, h.Until, h.More, h.Lost = sum.Began, sum.Until, sum.Limited, sum.LostFlows
		list[i] = h
	}
	return list
}

// find asks the running instance, or searches its folder. Nothing is written for it.
func (h *lookupHistory) find(ctx context.Context, cfg *configs.Config, q *question.Question) (hunt.Summary, error) {
	sum, err := askHunt(ctx, cfg.StateDir, q, func(line []byte) error {
		var r hunt.Row
		err := json.Unmarshal(line, &r)
		h.Contacts = append(h.Contacts, r)
		return err
	}, func(hunt.Progress) {})
	if !errors.Is(err, web.ErrNotRunning) {
		return sum, err
	}
	q.Embedding = intel.NewEmbedding(cfg.NAT64)
	in, err := app.OpenHistory(cfg.StateDir, "")
	if err != nil {
		return sum, err
	}
	return hunt.Search(ctx, in, q, func(rows []hunt.Row) error {
		h.Contacts = append(h.Contacts, rows...)
		return nil
	}, nil)
}

// print prints the contacts of what is called name.
func (h *lookupHistory) print(w io.Writer, name string) {
	if h == nil {
		return
	}
	if len(h.Contacts) == 0 && h.Error == "" {
		lost := ""
		if h.Lost > 0 {
			lost = fmt.Sprintf("; but the history lost %s in that time", count(h.Lost, "flow", "flows"))
		}
		fmt.Fprintf(w, "%s: no contact of your hosts from %s until %s%s\n", name, show.Date(h.Began), show.Date(h.Until), lost)
		return
	}
	if h.Error != "" {
		fmt.Fprintf(w, "%s: last contacts: cannot say: %s\n", name, show.Printable(h.Error))
	}
	if len(h.Contacts) == 0 {
		return
	}
	fmt.Fprintf(w, "%s: last contacts of your hosts, of a history from %s until %s\n", name, show.Date(h.Began), show.Date(h.Until))
	for i := range h.Contacts {
		r := &h.Contacts[i]
		host := "*"
		if r.Inside.IsValid() {
			host = r.Inside.String()
		}
		if r.Site != "" {
			host += " at " + r.Site
		}
		fmt.Fprintf(w, "  %s  %s %s %s %s, answer %s, %s, %s sent, %s received\n", show.Day(r.Last), show.Printable(host), arrowOf(r.Direction), r.Outside, serviceOf(r),
			answerOf(r).text, count(r.Flows, "flow", "flows"), observe.Size(r.BytesOut), observe.Size(r.BytesIn))
	}
	if h.Lost > 0 {
		fmt.Fprintf(w, "  the history lost %s in that time: contacts may be missing\n", count(h.Lost, "flow", "flows"))
	}
	if h.More {
		fmt.Fprintf(w, "  there may be more: flowsnitch hunt %s\n", name)
	}
}
