package past

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

const (
	// partSuffix is behind a dot and the name in the name of a folder aside.
	partSuffix = ".part"
	// goneSuffix is that of one which is being removed.
	goneSuffix = ".gone"
	// complete is the file in a folder aside that has all that is to be added.
	complete = "complete"
	lockName = ".lock"
)

// ErrNothing is the error of an import without a single contact.
var ErrNothing = errors.New("nothing to keep in it")

// Finish writes what is in memory, merges the files of each day, and makes the import visible.
// After an error nothing of it is there.
func (im *Import) Finish(ctx context.Context) (Total, error) {
	defer im.Abort()
	if err := im.hours.close(ctx); err != nil {
		return im.total, err
	}
	f := im.cfg.Disk
	days, err := daysOf(f, im.work)
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
	if im.total.Files, im.total.Bytes, err = sizeOf(f, im.work); err != nil {
		return im.total, err
	}
	if im.total.Bytes+im.before > im.cfg.MaxBytes {
		return im.total, fmt.Errorf("%w (%d MB)", ErrFull, im.cfg.MaxBytes/1e6)
	}
	if err := im.publish(); err != nil {
		return im.total, err
	}
	return im.total, nil
}

// Abort ends an import and removes what was written, unless it is visible.
func (im *Import) Abort() {
	if im.lock == nil {
		return
	}
	if _, err := im.cfg.Disk.Lstat(filepath.Join(im.work, complete)); err != nil {
		_ = removeTree(im.cfg.Disk, im.work)
	}
	_ = im.lock.Close()
	im.lock = nil
}

// mergeDay makes one file of all of a day, in several passes when they are many.
func (im *Import) mergeDay(ctx context.Context, day string) error {
	f, cfg := im.cfg.Disk, &im.cfg
	most := file.MaxInputs
	if cfg.Edge {
		most = 6
	}
	for {
		names, err := filesOf(f, filepath.Join(im.work, day))
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
				to.To = later(to.To, n.To)
			}
		}
		plan := file.Plan{Root: im.work, Name: to, Edge: cfg.Edge, Program: cfg.Program, Home: cfg.Home}
		for _, n := range names {
			plan.Inputs = append(plan.Inputs, filepath.Join(im.work, day, n.String()))
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// publish gives the folder aside its name, or moves its files to those that are there.
func (im *Import) publish() error {
	f := im.cfg.Disk
	if _, err := f.Lstat(im.final); errors.Is(err, fs.ErrNotExist) {
		if err := f.Rename(im.work, im.final); err != nil {
			return err
		}
		return disk.SyncDir(f, im.cfg.Root)
	}
	if err := im.countAgain(); err != nil {
		return err
	}
	if err := disk.Replace(f, filepath.Join(im.work, complete), nil, 0o640); err != nil {
		return err
	}
	return moveAll(f, im.work, im.final)
}

// countAgain counts the days that an addition shares with what was there.
func (im *Import) countAgain() error {
	before, err := daysOf(im.cfg.Disk, im.final)
	if err != nil {
		return err
	}
	more, err := daysOf(im.cfg.Disk, im.work)
	for _, day := range more {
		if slices.Contains(before, day) {
			im.total.Again++
		}
	}
	return err
}

// moveAll moves the files of a folder aside that is complete to those of the import. It may
// be begun again.
func moveAll(f disk.FS, from, to string) error {
	days, err := daysOf(f, from)
	if err != nil {
		return err
	}
	for _, day := range days {
		target := filepath.Join(to, day)
		if err := f.MkdirAll(target, 0o750); err != nil {
			return err
		}
		moving, err := filesOf(f, filepath.Join(from, day))
		if err != nil {
			return err
		}
		for _, n := range moving {
			if err := moveFile(f, filepath.Join(from, day), target, n); err != nil {
				return err
			}
		}
		for _, dir := range []string{target, filepath.Dir(target), filepath.Dir(filepath.Dir(target)), to} {
			if err := disk.SyncDir(f, dir); err != nil {
				return err
			}
		}
	}
	return removeTree(f, from)
}

// moveFile moves one file under a name that is free.
func moveFile(f disk.FS, from, to string, n file.Name) error {
	path := filepath.Join(from, n.String())
	there, err := filesOf(f, to)
	if err != nil {
		return err
	}
	n.Seq = 1
	for _, t := range there {
		if t.From.Equal(n.From) && t.To.Equal(n.To) && t.Level == n.Level {
			n.Seq = max(n.Seq, t.Seq+1)
		}
	}
	return f.Rename(path, filepath.Join(to, n.String()))
}

// lockRoot keeps other commands out of the imports.
func lockRoot(f disk.FS, root string) (disk.File, error) {
	lock, err := disk.Lock(f, filepath.Join(root, lockName), 0o640)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrBusy
	}
	return lock, err
}

// recoverAll completes additions whose files were all there, and removes what other imports
// have left. It is called with the lock.
func recoverAll(f disk.FS, root string) error {
	names, err := f.Names(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(root, name)
		part, isPart := strings.CutSuffix(name, partSuffix)
		if _, err := f.Lstat(filepath.Join(path, complete)); isPart && err == nil {
			if err := moveAll(f, path, filepath.Join(root, strings.TrimPrefix(part, "."))); err != nil {
				return err
			}
			continue
		}
		if strings.HasPrefix(name, ".") && (isPart || strings.HasSuffix(name, goneSuffix)) {
			if err := removeTree(f, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// daysOf gives the folders of days that have files, as yyyy/mm/dd, oldest first.
func daysOf(f disk.FS, root string) ([]string, error) {
	days := []string{""}
	for range 3 {
		var deeper []string
		for _, d := range days {
			names, err := f.Names(filepath.Join(root, d))
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				if strings.Trim(n, "0123456789") == "" {
					deeper = append(deeper, filepath.Join(d, n))
				}
			}
		}
		days = deeper
	}
	var with []string
	for _, d := range days {
		files, err := filesOf(f, filepath.Join(root, d))
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			with = append(with, d)
		}
	}
	slices.Sort(with)
	return with, nil
}

// filesOf gives the history files of one day, oldest first.
func filesOf(f disk.FS, day string) ([]file.Name, error) {
	names, err := f.Names(day)
	if err != nil {
		return nil, err
	}
	var files []file.Name
	for _, s := range names {
		if n, err := file.ParseName(s); err == nil {
			files = append(files, n)
		}
	}
	slices.SortFunc(files, func(a, b file.Name) int {
		if c := a.From.Compare(b.From); c != 0 {
			return c
		}
		return strings.Compare(a.String(), b.String())
	})
	return files, nil
}

// sizeOf adds up the files of a history.
func sizeOf(f disk.FS, root string) (files, bytes int64, err error) {
	days, err := daysOf(f, root)
	if err != nil {
		return 0, 0, err
	}
	for _, day := range days {
		names, err := filesOf(f, filepath.Join(root, day))
		if err != nil {
			return 0, 0, err
		}
		for _, n := range names {
			info, err := f.Stat(filepath.Join(root, day, n.String()))
			if err != nil {
				return 0, 0, err
			}
			files, bytes = files+1, bytes+info.Size()
		}
	}
	return files, bytes, nil
}

// removeTree removes a folder with all that is in it. Links are not followed.
func removeTree(f disk.FS, path string) error {
	info, err := f.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		names, err := f.Names(path)
		if err != nil {
			return err
		}
		// The mark of a complete addition goes last: before it, all is done again.
		slices.SortFunc(names, func(a, b string) int {
			switch {
			case a == complete:
				return 1
			case b == complete:
				return -1
			}
			return strings.Compare(a, b)
		})
		for _, name := range names {
			if err := removeTree(f, filepath.Join(path, name)); err != nil {
				return err
			}
		}
	}
	if err := f.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}
