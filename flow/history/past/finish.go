package past

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

// ErrNothing is the error of an import without a single contact.
var ErrNothing = errors.New("nothing to keep in it")

// Finish writes what is in memory, merges the files of each day, and makes the import visible.
// After an error nothing of it is there.
func (im *Import) Finish(ctx context.Context) (Total, error) {
	defer im.Abort()
	if err := im.hours.Close(ctx); err != nil {
		return im.total, err
	}
	days, err := im.aside.Days()
	if err != nil {
		return im.total, err
	}
	if len(days) == 0 {
		return im.total, ErrNothing
	}
	for _, day := range days {
		if err := im.mergeDay(ctx, day); err != nil {
			return im.total, err
		}
	}
	if im.total.Files, im.total.Bytes, err = im.aside.Size(); err != nil {
		return im.total, err
	}
	if im.total.Bytes+im.aside.Before > im.cfg.MaxBytes {
		return im.total, fmt.Errorf("%w (%d MB)", ErrFull, im.cfg.MaxBytes/1e6)
	}
	im.total.Again, err = im.aside.Publish()
	return im.total, err
}

// Abort ends an import and removes what was written, unless it is visible.
func (im *Import) Abort() { im.aside.Discard() }

// mergeDay makes one file of all of a day, in several passes when they are many.
func (im *Import) mergeDay(ctx context.Context, day string) error {
	f, cfg := im.cfg.Disk, &im.cfg
	most := file.MaxInputs
	if cfg.Edge {
		most = file.MaxInputsEdge
	}
	for {
		names, err := im.aside.Files(day)
		if err != nil {
			return err
		}
		to := file.Name{Level: file.Day}
		to.From = names[0].From.Truncate(24 * time.Hour)
		to.To = to.From.Add(24 * time.Hour)
		if len(names) > most {
			names = names[:most]
			to = file.Name{Level: file.Hour, From: names[0].From, To: names[0].To}
			for _, n := range names {
				if n.To.After(to.To) {
					to.To = n.To
				}
			}
		}
		plan := file.Plan{Root: im.aside.Folder, Name: to, Edge: cfg.Edge, Program: cfg.Program, Home: cfg.Home}
		for _, n := range names {
			plan.Inputs = append(plan.Inputs, filepath.Join(im.aside.Folder, day, n.String()))
		}
		if _, err := file.Merge(ctx, f, plan); err != nil {
			return err
		}
		for _, path := range plan.Inputs {
			if err := f.Remove(path); err != nil {
				return err
			}
		}
		if to.Level == file.Day {
			return nil
		}
	}
}
