package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/intel/detect/tally"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
)

// Sources that a report counts one by one, of about 60 bytes each.
const (
	countedSources     = 200_000
	countedSourcesEdge = 20_000
)

// flushTime is how long a report waits until the latest contacts are in the history.
const flushTime = 5 * time.Second

// count counts attempts in the history, the latest ones included.
func (r *reports) count(ctx context.Context, service report.AttackedService, from, until time.Time) (*report.Attempts, error) {
	past := r.history.Folder()
	if past == nil {
		return nil, errors.New("no history of contacts is kept (history.enabled)")
	}
	flush, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	_, _ = r.history.Flush(flush) // without the last minutes the rest is still worth it
	return CountAttempts(past, r.cfg)(ctx, service, from, until)
}

// CountAttempts gives what counts attempts for a report in a history.
func CountAttempts(past *folder.Folder, cfg *configs.Config) func(context.Context, report.AttackedService, time.Time, time.Time) (*report.Attempts, error) {
	most := countedSources
	if cfg.Profile == "edge" {
		most = countedSourcesEdge
	}
	return func(ctx context.Context, service report.AttackedService, from, until time.Time) (*report.Attempts, error) {
		protocol, ok := flow.ParseProtocol(service.Protocol)
		if !ok {
			return nil, fmt.Errorf("%q is not a protocol", service.Protocol)
		}
		// The history has whole hours only.
		q := tally.Question{Inside: flow.Addr6Of(service.Host), Protocol: protocol, Port: service.Port, From: from.Truncate(time.Hour), To: until, MaxSources: most}
		if cut := until.Truncate(time.Hour); cut.Before(until) {
			q.To = cut.Add(time.Hour)
		}
		t, err := tally.Count(ctx, past, q)
		a := &report.Attempts{From: q.From, Until: until, Tries: t.Tries, Sources: t.Sources, More: t.More, Folded: t.Folded, Lost: t.Lost, Missing: t.Missing, BadFiles: t.Bad}
		for _, d := range t.Days {
			a.Days = append(a.Days, report.TryDay{Day: d.Day.Format(time.DateOnly), Tries: d.Tries})
		}
		for _, b := range t.Histogram {
			a.Histogram = append(a.Histogram, report.TryBar(b))
		}
		return a, err
	}
}
