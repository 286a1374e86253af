package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// An output is standard output. It remembers the first error: a command whose output
// did not get out has failed, whether it looked or not.
type output struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

// Write writes to what is behind.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.w.Write(p)
	if err == nil {
		return n, nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	err = fmt.Errorf("standard output: %w", err)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// failure gives the first error.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
