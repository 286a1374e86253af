package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// Erased is what became of addresses that were to be removed from all histories.
type Erased struct {
	Files int64 `json:"files"` // that were written anew, or would be
	Rows  int64 `json:"rows"`  // that they have less
	// Error is why not everything could be searched or removed.
	Error string `json:"error,omitempty"`
	// Off is set when the instance keeps no history, and so has not looked at files.
	Off bool `json:"off,omitempty"`
}

// An erasing removes contacts from files, or counts those that would be removed.
type erasing func(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error)

// EraseHistory removes prefixes from the history at root and from all its imports, while no
// import runs.
func EraseHistory(ctx context.Context, root string, prefixes []netip.Prefix, erase erasing) (done Erased, err error) {
	change := func() error {
		files, rows, err := erase(ctx, prefixes)
		done.Files, done.Rows = files, rows
		if done.Off = errors.Is(err, history.ErrOff); err != nil && !done.Off {
			done.Error = err.Error()
		}
		return nil
	}
	err = imports.Changing(disk.OS{}, imports.Folder(root), change)
	if errors.Is(err, imports.ErrNone) {
		err = change()
	}
	return done, err
}

// maxErased bounds one request.
const maxErased = 1000

// erasePrefixes reads the prefixes of a request.
func erasePrefixes(r *http.Request) (list []netip.Prefix, err error) {
	texts := r.URL.Query()["prefix"]
	if len(texts) == 0 || len(texts) > maxErased {
		return nil, fmt.Errorf("%d prefixes; give 1 to %d", len(texts), maxErased)
	}
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// eraseRoute lets operators erase.
func (l *contactLog) eraseRoute() observe.Route {
	return observe.Route{Method: http.MethodPost, Path: "/history/erase", Role: observe.Operator, Handler: observe.JSON(func(r *http.Request) (any, error) {
		prefixes, err := erasePrefixes(r)
		if err != nil {
			return nil, err
		}
		erase := l.Erase
		if r.URL.Query().Get("dry_run") == "true" {
			erase = l.Count
		}
		return EraseHistory(r.Context(), l.root, prefixes, erase)
	})}
}

// HistoryRecorder decides for imports what an instance would keep of the same flows.
func HistoryRecorder(cfg *configs.Config) recorder.Config {
	homes, names := HistoryHomes(cfg)
	return recorder.Config{
		Homes: homes, Sites: names, Exclude: append(canaryEnds(), cfg.History.Exclude...), Sampling: configuredRates(cfg),
	}
}
