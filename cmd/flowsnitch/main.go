// Command flowsnitch receives NetFlow v5, v9, IPFIX and sFlow from routers and
// says which flows touch listed addresses.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of every command except check.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong use or wrong configuration
)

// A usageError is a mistake of whoever called the command.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute runs one command and gives its exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(root.ErrOrStderr(), "flowsnitch: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// newRoot makes the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "flowsnitch",
		Short: "Tell which flows of your routers touch listed addresses",
		Long: `Routers tell on bad traffic. flowsnitch receives their NetFlow v5, v9, IPFIX and
sFlow export, looks up both ends of every flow (NAT addresses too) in a set of
listed prefixes, and says so at once.`,
		Example: `  flowsnitch demo                              a minute of everything, on this machine
  flowsnitch run --intel bad.txt               collect on 2055, 4739 and 6343
  flowsnitch replay --intel bad.txt old.pcap   ask a capture of export packets`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDemo(), newRun(), newReplay(), newDecode(), newLookup(), newIntel(), newStatus(), newConfig(), newVersion())
	return root
}

// usage marks an argument check's complaint as wrong use.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		return nil
	}
}
