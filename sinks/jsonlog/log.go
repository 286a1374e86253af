package jsonlog

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks"
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
	LastError  string // the latest of these, kept after recovery
}

// A Log is the sink that writes the hit log. Send and Close are for its queue;
// Open, Reopen and Stats may be called from anywhere at any time.
type Log struct {
	cfg Config
	gid int // of the files made; -1 = as it comes

	format sinks.Format

	// The clock and the system calls that tests make fail.
	now    func() time.Time
	write  func(*os.File, []byte) (int, error)
	rename func(from, to string) error
	chown  func(path string, uid, gid int) error

	mu     sync.Mutex // of all that follows, against Reopen
	closed bool
	lock   *os.File    // holds the lock; nil until first opened
	file   *os.File    // nil when it is to be opened anew
	info   fs.FileInfo // of file, to tell whether it is still the one at the path
	size   int64       // of file
	day    int         // of the last write to file
	wait   time.Time   // no rotation is tried before: the last one failed
	line   []byte      // scratch

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
		now: time.Now, write: (*os.File).Write, rename: os.Rename, chown: os.Chown,
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

// Open opens the log, so that a wrong path, a missing right or a second process
// shows at once. Send opens it as well, and tries again after a failure.
func (l *Log) Open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed(l.prepare())
}

// Reopen closes the file and opens what is at the path now, as SIGHUP asks after
// logrotate has moved the file. When it returns, nothing more goes to the old one.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeFile()
	l.count(&l.stats.Reopens, 1)
	return l.failed(l.prepare())
}

// Send writes each event as one line. On an error it asks for the rest again:
// disks get room and file systems writable again without a restart.
func (l *Log) Send(ctx context.Context, events []intel.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
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

// Close closes the file, stops compressing and gives the lock back. The log cannot
// be used again.
func (l *Log) Close(context.Context) error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.closeFile()
	l.mu.Unlock()
	if !first {
		return nil
	}
	close(l.stop)
	l.work.Wait() // soon: it looks at stop with every block of a file
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock != nil {
		_ = l.lock.Close()
		l.lock = nil
	}
	return nil
}

// Stats gives the counters at one moment.
func (l *Log) Stats() Stats {
	l.statsMu.Lock()
	defer l.statsMu.Unlock()
	return l.stats
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
