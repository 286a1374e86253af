package disk

import (
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// SlowAfter is how long a call may take. An SD card that collects garbage needs seconds
// for a sync; a healthy disk never needs more.
const SlowAfter = 5 * time.Second

// A Watch is a file system that knows which calls are under way, so that a disk that
// hangs is named while it does. Its methods may be called from any goroutine.
type Watch struct {
	fs FS

	mu    sync.Mutex // never held during a call
	calls map[*call]struct{}
	slow  uint64
	last  string
	ended time.Time
}

// A call is one to the disk, under way.
type call struct {
	what, path string
	since      time.Time
}

// NewWatch watches the calls to f.
func NewWatch(f FS) *Watch { return &Watch{fs: f, calls: make(map[*call]struct{})} }

// Hangs names the call that has been under way for the longest time, if that is longer
// than limit, for instance [SlowAfter]; nil = none has.
func (w *Watch) Hangs(now time.Time, limit time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest *call
	for c := range w.calls {
		if oldest == nil || c.since.Before(oldest.since) {
			oldest = c
		}
	}
	if oldest == nil {
		return nil
	}
	d := now.Sub(oldest.since)
	if d <= limit {
		return nil
	}
	return fmt.Errorf("%s %s: no answer for %v", oldest.what, oldest.path, d.Round(time.Second))
}

// Slow gives how many calls have taken longer than [SlowAfter], those under way
// included, what the latest was, and when it returned.
func (w *Watch) Slow(now time.Time) (n uint64, last string, ended time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = w.slow
	for c := range w.calls {
		if now.Sub(c.since) > SlowAfter {
			n++
		}
	}
	return n, w.last, w.ended
}

// begin notes a call; what it returns notes its end.
func (w *Watch) begin(what, path string) *call {
	c := &call{what, path, time.Now()}
	w.mu.Lock()
	w.calls[c] = struct{}{}
	w.mu.Unlock()
	return c
}

func (w *Watch) end(c *call) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.calls, c)
	if d := now.Sub(c.since); d > SlowAfter {
		w.slow++
		w.last, w.ended = fmt.Sprintf("%s %s: took %v", c.what, c.path, d.Round(time.Second)), now
	}
}

// Open opens a file for reading.
func (w *Watch) Open(path string) (File, error) {
	defer w.end(w.begin("open", path))
	return w.watched(w.fs.Open(path))
}

// OpenFile opens or creates a file.
func (w *Watch) OpenFile(path string, flag int, mode fs.FileMode) (File, error) {
	defer w.end(w.begin("open", path))
	return w.watched(w.fs.OpenFile(path, flag, mode))
}

func (w *Watch) watched(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{File: f, w: w}, nil
}

// MkdirAll makes a directory and its parents.
func (w *Watch) MkdirAll(path string, mode fs.FileMode) error {
	defer w.end(w.begin("mkdir", path))
	return w.fs.MkdirAll(path, mode)
}

// Names reads a directory.
func (w *Watch) Names(path string) ([]string, error) {
	defer w.end(w.begin("readdir", path))
	return w.fs.Names(path)
}

// Stat looks at a file behind links.
func (w *Watch) Stat(path string) (fs.FileInfo, error) {
	defer w.end(w.begin("stat", path))
	return w.fs.Stat(path)
}

// Lstat looks at a file or a link.
func (w *Watch) Lstat(path string) (fs.FileInfo, error) {
	defer w.end(w.begin("lstat", path))
	return w.fs.Lstat(path)
}

// Remove removes a file.
func (w *Watch) Remove(path string) error {
	defer w.end(w.begin("remove", path))
	return w.fs.Remove(path)
}

// Rename renames a file.
func (w *Watch) Rename(from, to string) error {
	defer w.end(w.begin("rename", from))
	return w.fs.Rename(from, to)
}

// RenameNew renames a file and replaces nothing.
func (w *Watch) RenameNew(from, to string) error {
	defer w.end(w.begin("rename", from))
	return w.fs.RenameNew(from, to)
}

// Chmod sets the mode of a file.
func (w *Watch) Chmod(path string, mode fs.FileMode) error {
	defer w.end(w.begin("chmod", path))
	return w.fs.Chmod(path, mode)
}

// Chown sets the owner of a file; -1 leaves it.
func (w *Watch) Chown(path string, uid, gid int) error {
	defer w.end(w.begin("chown", path))
	return w.fs.Chown(path, uid, gid)
}

// Chtimes sets the time of the last change.
func (w *Watch) Chtimes(path string, date time.Time) error {
	defer w.end(w.begin("utimes", path))
	return w.fs.Chtimes(path, date)
}

// A watchedFile is an open file of a Watch.
type watchedFile struct {
	File
	w *Watch
}

func (f *watchedFile) Read(b []byte) (int, error) {
	defer f.w.end(f.w.begin("read", f.Name()))
	return f.File.Read(b)
}

func (f *watchedFile) ReadAt(b []byte, at int64) (int, error) {
	defer f.w.end(f.w.begin("read", f.Name()))
	return f.File.ReadAt(b, at)
}

func (f *watchedFile) Write(b []byte) (int, error) {
	defer f.w.end(f.w.begin("write", f.Name()))
	return f.File.Write(b)
}

func (f *watchedFile) WriteAt(b []byte, at int64) (int, error) {
	defer f.w.end(f.w.begin("write", f.Name()))
	return f.File.WriteAt(b, at)
}

func (f *watchedFile) Sync() error {
	defer f.w.end(f.w.begin("sync", f.Name()))
	return f.File.Sync()
}

func (f *watchedFile) Truncate(size int64) error {
	defer f.w.end(f.w.begin("truncate", f.Name()))
	return f.File.Truncate(size)
}

func (f *watchedFile) Stat() (fs.FileInfo, error) {
	defer f.w.end(f.w.begin("stat", f.Name()))
	return f.File.Stat()
}

func (f *watchedFile) Chmod(mode fs.FileMode) error {
	defer f.w.end(f.w.begin("chmod", f.Name()))
	return f.File.Chmod(mode)
}

func (f *watchedFile) Lock() error {
	defer f.w.end(f.w.begin("lock", f.Name()))
	return f.File.Lock()
}

func (f *watchedFile) Close() error {
	defer f.w.end(f.w.begin("close", f.Name()))
	return f.File.Close()
}
