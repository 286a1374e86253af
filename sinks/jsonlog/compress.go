package jsonlog

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

const (
	// gzipSuffix is what compressed files end in.
	gzipSuffix = ".gz"
	// compressEvery is the time between looks for files to compress.
	compressEvery = time.Minute
)

// errStopped ends the work on a file when the log is closed.
var errStopped = errors.New("stopped")

// startCompressor starts the goroutine that compresses, when it is configured and not
// running yet. Compressing 100 MB takes seconds, on a small board half a minute: events
// must not wait for it.
func (l *Log) startCompressor() {
	if !l.cfg.Compress || l.compressing {
		return
	}
	l.compressing = true
	l.work.Go(func() {
		tick := time.NewTicker(compressEvery)
		defer tick.Stop()
		for {
			l.compressOld()
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
		}
	})
}

// compressOld compresses the old files that no reader needs any more. One that
// fails is tried again next time.
func (l *Log) compressOld() {
	old, err := l.rotated()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = l.failed(fmt.Errorf("compress: %w", err))
	}
	for _, f := range old {
		if filepath.Ext(f.path) == gzipSuffix || !l.quietSince(f) {
			continue
		}
		switch err := l.compress(f.path); {
		case errors.Is(err, errStopped):
			return
		case err == nil:
			l.count(&l.stats.Compressed, 1)
		case !errors.Is(err, fs.ErrNotExist): // else it was old enough to be removed
			_ = l.failed(fmt.Errorf("compress: %w", err))
		}
	}
}

// quietSince reports whether the rotation and the last write are so long ago that
// every reader has noticed the new file. After a jump of the clock they may lie in the
// future.
func (l *Log) quietSince(f oldFile) bool {
	info, err := l.disk.Stat(f.path)
	return err == nil && l.date().Sub(f.stamp).Abs() >= quiet && l.now().Sub(info.ModTime()).Abs() >= quiet
}

// compress replaces a file by its compressed form, which has its time and rights.
func (l *Log) compress(path string) error {
	from, err := l.disk.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	temp := path + gzipSuffix + ".tmp"
	err = l.writeGzip(temp, from)
	if err == nil {
		err = l.replace(path, temp)
	}
	if err != nil {
		_ = l.disk.Remove(temp)
	}
	return err
}

// writeGzip writes the compressed form of a file and syncs it, for the original is
// removed then.
func (l *Log) writeGzip(path string, from disk.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := disk.OpenNew(l.disk, path, os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	z := gzip.NewWriter(to)
	z.Name, z.ModTime = filepath.Base(from.Name()), info.ModTime()
	_, err = io.Copy(z, untilStopped{from, l.stop})
	err = errors.Join(err, z.Close(), to.Chmod(info.Mode().Perm()), l.setGroup(path), to.Sync(), to.Close())
	if err != nil {
		return err
	}
	return l.disk.Chtimes(path, info.ModTime())
}

// replace puts the compressed file in the place of the other, unless that was
// removed meanwhile.
func (l *Log) replace(path, temp string) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if _, err := l.disk.Stat(path); err != nil {
		return err
	}
	if err := l.disk.Rename(temp, path+gzipSuffix); err != nil {
		return err
	}
	return l.disk.Remove(path)
}

// untilStopped reads from r until stop is closed.
type untilStopped struct {
	r    io.Reader
	stop <-chan struct{}
}

func (u untilStopped) Read(p []byte) (int, error) {
	select {
	case <-u.stop:
		return 0, errStopped
	default:
		return u.r.Read(p)
	}
}
