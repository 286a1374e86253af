package jsonlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// stampFormat is the suffix of old files, behind a hyphen.
	stampFormat = "20060102-150405"
	// quiet is how long a reader may still need an old file.
	quiet = 3 * time.Minute
	// rotatePause is the time between attempts to rotate when that fails.
	rotatePause = time.Minute
)

// rotateDaily rotates when the last write was on another day.
func (l *Log) rotateDaily() error {
	today := dayOf(l.date())
	if l.cfg.Rotate == RotateDay && l.day != today && l.size > 0 {
		return l.rotate()
	}
	l.day = today
	return nil
}

// rotateBySize rotates when n more bytes would be too many.
func (l *Log) rotateBySize(n int) error {
	if l.cfg.Rotate == RotateNone || l.size == 0 || l.size+int64(n) <= l.cfg.MaxSize {
		return nil
	}
	return l.rotate()
}

// rotate renames the file, removes the oldest and opens a new one. Where it cannot
// be renamed it goes on growing, and that is tried again later: events are worth more
// than order. The error is about the new file.
func (l *Log) rotate() error {
	if l.now().Before(l.wait) {
		return nil
	}
	to, err := l.nextName()
	if err == nil {
		err = l.disk.Rename(l.cfg.Path, to)
	}
	switch {
	case err == nil:
		l.count(&l.stats.Rotations, 1)
	case !errors.Is(err, fs.ErrNotExist): // else it went under our feet
		l.wait = l.now().Add(rotatePause)
		_ = l.failed(fmt.Errorf("rotate: %w", err))
		return nil
	}
	l.closeFile()
	l.prune() // first, for the disk may be too full for a new file
	if err := l.openFile(); err != nil {
		return err
	}
	l.day = dayOf(l.date())
	return nil
}

// An oldFile is one that was rotated.
type oldFile struct {
	stamp time.Time // of the rotation, by its name
	path  string
}

// nextName gives the name that the file takes when it is rotated: that of this
// second, or the one after the latest that is taken. So names never collide and always
// sort by age, whatever the clock does.
func (l *Log) nextName() (string, error) {
	old, err := l.rotated()
	if err != nil {
		return "", err
	}
	stamp := l.date().UTC().Truncate(time.Second)
	if len(old) > 0 && !stamp.After(old[len(old)-1].stamp) {
		stamp = old[len(old)-1].stamp.Add(time.Second)
	}
	return l.cfg.Path + "-" + stamp.Format(stampFormat), nil
}

// rotated gives the old files, the oldest first. A file with any other suffix is
// not ours; compressed ones are ours if we compress.
func (l *Log) rotated() ([]oldFile, error) {
	dir := filepath.Dir(l.cfg.Path)
	names, err := l.disk.Names(dir)
	if err != nil {
		return nil, err
	}
	var old []oldFile
	for _, name := range names {
		suffix, ours := strings.CutPrefix(name, filepath.Base(l.cfg.Path)+"-")
		if !ours {
			continue
		}
		if l.cfg.Compress {
			suffix = strings.TrimSuffix(suffix, gzipSuffix)
		}
		if t, err := time.Parse(stampFormat, suffix); err == nil && t.Format(stampFormat) == suffix {
			path := filepath.Join(dir, name)
			info, err := l.disk.Lstat(path)
			switch {
			case err == nil && info.Mode().IsRegular():
				old = append(old, oldFile{t, path})
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return nil, err // one that is overlooked might be overwritten
			}
		}
	}
	slices.SortStableFunc(old, func(a, b oldFile) int { return a.stamp.Compare(b.stamp) })
	return old, nil
}

// prune removes the oldest files beyond Keep. One that was written to a moment ago
// stays for its readers, as long as there are not twice as many.
func (l *Log) prune() {
	old, err := l.rotated()
	if err != nil {
		_ = l.failed(fmt.Errorf("remove old files: %w", err))
		return
	}
	for ; len(old) > l.cfg.Keep; old = old[1:] {
		name := old[0].path
		if len(old) <= 2*l.cfg.Keep && l.inUse(name) {
			return
		}
		if err := l.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			_ = l.failed(fmt.Errorf("remove old files: %w", err))
		}
	}
}

// inUse reports whether a reader may not be done with an old file.
func (l *Log) inUse(name string) bool {
	info, err := l.disk.Stat(name)
	if err != nil {
		return false
	}
	age := l.now().Sub(info.ModTime())
	return age >= 0 && age < quiet
}

// date gives the local date that can be trusted. The wall clock may be set to another
// year and back, which is no reason to rotate.
func (l *Log) date() time.Time {
	if l.cfg.Date == nil {
		return l.now()
	}
	return l.cfg.Date().In(l.now().Location())
}

// dayOf gives a number for the day of t where t is.
func dayOf(t time.Time) int {
	year, month, day := t.Date()
	return year*10_000 + int(month)*100 + day
}
