// Command flowgen is an exporter without a network behind it: it sends valid
// NetFlow v5, v9, IPFIX or sFlow datagrams at a steady rate or as fast as it can,
// or writes them to a capture file. It counts exactly what it sent, so that a
// collector's own counters can be held against it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // a socket or file failed, or datagrams could not be sent
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "flowgen:", err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintln(stderr, "Try 'flowgen --help'.")
		return exitUsage
	}
	return exitFailed
}

// A usageError is a wrong flag or a wrong combination of flags.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}
