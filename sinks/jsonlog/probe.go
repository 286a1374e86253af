package jsonlog

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

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
	file, err := l.disk.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(l.cfg.Mode))
	if err != nil {
		_ = l.disk.Remove(path + ".new") // a link or what else is in the way
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
