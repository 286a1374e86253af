package jsonlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// Stats counts what has happened to the log.
type Stats struct {
	Lines      uint64 // events written
	Bytes      uint64 // in these lines
	Rotations  uint64 // by this package
	Reopens    uint64 // asked for, or because the file was renamed or removed
	Repaired   uint64 // lines cut short by an error and taken back
	Torn       uint64 // half lines found at the end and closed with a newline
	Errors     uint64 // of writing, opening, rotating and removing old files
	Compressed uint64 // old files
	LastError  string // the latest of these, kept after recovery; a call to the disk that hangs, while it does
}

// A Log is the sink that writes the hit log. Send and Close are for its queue;
// Open, Reopen and Stats may be called from anywhere at any time.
type Log struct {
	cfg Config
	gid int // of the files made; -1 = as it comes

	format form.Form

	now  func() time.Time // the clock
	disk *disk.Watch

	// turn is held by whoever uses the file, for as long as the disk likes. Only
	// goroutines that may wait for the disk wait for it.
	turn   chan struct{} // of all that follows, against Reopen
	closed bool
	lock   disk.File   // holds the lock; nil until first opened
	file   disk.File   // nil when it is to be opened anew
	info   fs.FileInfo // of file, to check whether it is still the one at the path
	size   int64       // of file
	day    int         // of the last write to file
	wait   time.Time   // no rotation is tried before: the last one failed
	line   []byte      // scratch

	reopening   atomic.Bool    // one waits for its turn
	closing     sync.Once      // of stop
	compressing bool           // the compressor has been started
	stop        chan struct{}  // closed by Close, for the compressor
	work        sync.WaitGroup // of the compressor

	statsMu sync.Mutex
	stats   Stats
}

// New makes a log; nothing is touched yet. The error is about cfg, an unknown
// group included.
func New(cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	gid, err := lookupGroup(cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	format, err := cfg.format()
	if err != nil {
		return nil, err
	}
	return &Log{
		cfg: cfg, gid: gid, format: format, stop: make(chan struct{}),
		now: time.Now, disk: disk.NewWatch(disk.OS{}), turn: make(chan struct{}, 1),
	}, nil
}

// lookupGroup gives the number of a group; -1 for none.
func lookupGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if gid, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// Name gives "jsonlog:" and the path, for there may be several logs.
func (l *Log) Name() string { return "jsonlog:" + l.cfg.Path }

// diskWait is the longest time that Open and Reopen wait for the disk.
const diskWait = 2 * time.Second

// within does f in its turn, and does not wait for it longer than ctx lasts: a disk that
// hangs must not hold up a start, a signal or a stop. f goes on then.
func (l *Log) within(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	go func() {
		l.turn <- struct{}{}
		defer func() { <-l.turn }()
		result <- f()
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: the disk does not answer", l.cfg.Path)
	}
}

// Open opens the log, so that a wrong path, a missing right or a second process
// shows at once. Send opens it as well, and tries again after a failure. It waits two
// seconds for the disk at most.
func (l *Log) Open() error {
	ctx, cancel := context.WithTimeout(context.Background(), diskWait)
	defer cancel()
	return l.within(ctx, func() error { return l.failed(l.prepare()) })
}

// Reopen closes the file and opens what is at the path now, as SIGHUP asks after
// logrotate has moved the file. When it returns without an error, nothing more goes to
// the old one. It waits two seconds for the disk at most, and goes on by itself when that
// answers.
func (l *Log) Reopen() error {
	if !l.reopening.CompareAndSwap(false, true) {
		return fmt.Errorf("%s: the disk does not answer", l.cfg.Path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), diskWait)
	defer cancel()
	return l.within(ctx, func() error {
		l.reopening.Store(false)
		l.closeFile()
		l.count(&l.stats.Reopens, 1)
		return l.failed(l.prepare())
	})
}

// Send writes each event as one line. On an error it asks for the rest again:
// disks get room and file systems writable again without a restart.
func (l *Log) Send(ctx context.Context, events []event.Event) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return &sinks.RetryError{Err: ctx.Err()}
	}
	if err := l.prepare(); err != nil {
		return &sinks.RetryError{Err: l.failed(err)}
	}
	for i := range events {
		if err := ctx.Err(); err != nil {
			return &sinks.RetryError{Sent: i, Err: err}
		}
		l.line = l.format.Append(l.line[:0], &events[i])
		if err := l.append(l.line); err != nil {
			return &sinks.RetryError{Sent: i, Err: l.failed(err)}
		}
	}
	return nil
}

// Close closes the file, stops compressing and gives the lock back, as far as the disk
// answers within ctx. The log cannot be used again.
func (l *Log) Close(ctx context.Context) error {
	l.closing.Do(func() { close(l.stop) })
	return l.within(ctx, func() error {
		l.closed = true
		l.closeFile()
		<-l.turn      // the compressor may want it
		l.work.Wait() // soon: it looks at stop with every block of a file
		l.turn <- struct{}{}
		if l.lock != nil {
			_ = l.lock.Close()
			l.lock = nil
		}
		return nil
	})
}

// Stats gives the counters at one moment.
func (l *Log) Stats() Stats {
	l.statsMu.Lock()
	defer l.statsMu.Unlock()
	s := l.stats
	if err := l.disk.Hangs(time.Now(), disk.SlowAfter); err != nil {
		s.LastError = err.Error()
	}
	return s
}

func (l *Log) count(counter *uint64, n int) {
	l.statsMu.Lock()
	*counter += uint64(n)
	l.statsMu.Unlock()
}

// failed counts an error, if it is one, and returns it.
func (l *Log) failed(err error) error {
	if err != nil {
		l.statsMu.Lock()
		l.stats.Errors++
		l.stats.LastError = err.Error()
		l.statsMu.Unlock()
	}
	return err
}

// probeSuffix ends the name of the file beside the log that has the latest canary.
const probeSuffix = ".canary"

var _ sinks.Prober = (*Log)(nil)

// Probe proves that an event could be written: it opens the log as [Log.Send] does, and
// writes the canary into a file beside it, in the same directory, with the same owner and
// form. The file is always new, so that a full file system shows.
func (l *Log) Probe(ctx context.Context, canary *event.Event) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return &sinks.RetryError{Err: ctx.Err()}
	}
	if err := l.prepare(); err != nil {
		return &sinks.RetryError{Err: l.failed(err)}
	}
	l.line = l.format.Append(l.line[:0], canary)
	if err := l.writeBeside(l.line); err != nil {
		return &sinks.RetryError{Err: l.failed(err)}
	}
	return nil
}

// writeBeside makes the file beside the log anew.
func (l *Log) writeBeside(line []byte) error {
	path := l.cfg.Path + probeSuffix
	file, err := disk.OpenNew(l.disk, path+".new", os.O_WRONLY, os.FileMode(l.cfg.Mode))
	if err != nil {
		return err
	}
	n, err := file.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = l.disk.Rename(path+".new", path)
	}
	if err != nil {
		_ = l.disk.Remove(path + ".new")
	}
	return err
}
