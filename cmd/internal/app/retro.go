package app

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro"
)

// HuntDir is the folder in the state directory of what has been searched for in the history.
const HuntDir = "hunt"

// A retroHunt searches the history for what is new in each set.
type retroHunt struct {
	*retro.Hunter
	a *App
}

func newRetroHunt(a *App, alert func(name, text string, about *intel.Indicator)) *retroHunt {
	return &retroHunt{a: a, Hunter: retro.New(retro.Config{
		Dir: filepath.Join(a.cfg.StateDir, HuntDir), Disk: disk.OS{}, History: searched{a.history.History, a.contacts.loop}, Table: a.store.Load, Quiet: a.feeds.rolledUp,
		Publish: a.sinks.secure, Alert: alert, Factors: a.cfg.Contact.Factors, Sensor: a.cfg.Name, Now: time.Now, Log: a.log,
	})}
}

// Takes no key for itself.
func (r *retroHunt) Takes(*configs.Config, string) bool { return false }

// Reconfigure looks at the set in force again: contacts may be kept from now on.
func (r *retroHunt) Reconfigure(*configs.Config) error {
	r.Feed(r.a.store.Load(), time.Now())
	return nil
}

// rolledUp gives the prefixes that are in quarantine.
func (d *feedService) rolledUp() (list []netip.Prefix) {
	for _, q := range d.quarantined() {
		if q.Accepted.IsZero() {
			list = append(list, q.Prefix)
		}
	}
	return list
}

// searched is the history as the retro-hunt searches it.
type searched struct {
	*history.History
	loop *queue.Loop
}

// settleTime is how long the correlator may take for the hits that wait before it.
const settleTime = 30 * time.Second

// Flush has what was received written. The live hits among it are known as such behind it:
// they may have waited before the correlator for longer than the history took.
func (s searched) Flush(ctx context.Context) (time.Time, error) {
	until, err := s.History.Flush(ctx)
	if err != nil {
		return until, err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := s.loop.Settle(ctx); err != nil {
		return until, fmt.Errorf("hits wait before the correlator: %w", err)
	}
	return until, nil
}

// On reports whether contacts are kept.
func (s searched) On() bool { return s.Folder() != nil }

// Search searches one file after another.
func (s searched) Search(ctx context.Context, ranges []span.Range, to time.Time, emit func(retro.Span, []row.Row) error, next func() error) (retro.Done, error) {
	files := s.Folder()
	if files == nil {
		return retro.Done{}, history.ErrOff
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stopped error
	done, err := files.Search(ctx, folder.Query{
		Ranges: ranges, To: to, Parallel: 1, Background: true,
		Emit: func(e folder.Entry, rows []row.Row) error {
			return emit(retro.Span{From: e.Name.From, To: e.Name.To}, rows)
		},
		Progress: func(int, int, int64) {
			if stopped = next(); stopped != nil {
				cancel()
			}
		},
	})
	if stopped != nil {
		err = stopped
	}
	result := retro.Done{Files: int(done.Files)}
	for _, b := range done.Bad {
		result.Bad = append(result.Bad, filepath.Base(b.Path)+": "+b.Err.Error())
	}
	return result, err
}
