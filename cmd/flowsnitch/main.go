// Command flowsnitch receives NetFlow v5, v9, IPFIX and sFlow from routers and reports the
// flows that touch listed addresses. Each subcommand (run, replay, status, top, check,
// lookup, intel, config and others) is one file here that reads its flags, calls the
// packages below and prints; a new one is added to the root command in main.go. 'flowsnitch run' is
// cmd/internal/app.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command and gives its exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	to := &output{w: out}
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(to)
	root.SetErr(errOut)
	err := hyphens(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		err = to.failure()
	}
	if err == nil {
		return exitDone
	}
	var v verdict
	if errors.As(err, &v) {
		return int(v)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(errOut, "flowsnitch: %s\n", line)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	if _, ok := errors.AsType[unanswered](err); ok {
		return lookupUnknown
	}
	return exitFailed
}

// newRoot makes the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "flowsnitch",
		Short: "Report flows between your hosts and listed addresses",
		Long: `flowsnitch receives NetFlow v5, v9, IPFIX and sFlow from routers, looks up both ends of
every flow (NAT addresses too) in a set of listed prefixes, and publishes each match
within milliseconds.`,
		Example: `  flowsnitch demo                              a minute of everything, on this machine
  flowsnitch run --intel bad.txt               collect on 2055, 4739 and 6343
  flowsnitch replay --intel bad.txt old.pcap   search a capture of export packets`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return wrongUse(c, "%w", flagError(c, err)) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.AddCommand(newDemo(), newRun(), newReplay(), newDecode(), newLookup(), newHunt(), newIncidents(), newSilence(), newReport(), newRules(), newHistory(), newExport(), newIntel(), newStatus(), newCanary(), newTop(), newCheck(), newConsume(), newConfig(), newVersion())
	root.AddCommand(packagingCommands()...)
	plainUsage(root)
	return root
}

// newHelp replaces the library's command, which takes a wrong name for a success.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]...",
		Short:   "Print the help of a command",
		Example: "  flowsnitch help replay",
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return wrongUse(c.Root(), "there is no command %q", strings.Join(args, " "))
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// plainUsage takes the word [flags] out of usage lines that name the flags already,
// and lets each command suggest its own for a name with a slip or two.
func plainUsage(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	c.SuggestionsMinimumDistance = 2
	for _, sub := range c.Commands() {
		plainUsage(sub)
	}
}

// hyphens finds a long flag with a single hyphen, which else is taken for short ones.
func hyphens(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil {
		return nil // said by the command
	}
	c.InitDefaultHelpFlag()
	for _, arg := range rest {
		if arg == "--" {
			return nil
		}
		name, one := strings.CutPrefix(arg, "-")
		name, _, _ = strings.Cut(name, "=")
		if one && len(name) > 1 && c.Flags().Lookup(name) != nil {
			return c.FlagErrorFunc()(c, fmt.Errorf("-%s: a flag with a long name takes two hyphens: --%s", name, name))
		}
	}
	return nil
}

// meantFlags are flags that others have for what is called otherwise here.
var meantFlags = map[string]string{"list": "intel", "lists": "intel", "feed": "intel", "feeds": "intel", "conf": "config", "cfg": "config", "file": "config"}

// likeFlag gives the flag that a name with a slip or two is meant for, or nothing.
func likeFlag(c *cobra.Command, name string) string {
	if meant := meantFlags[name]; c.Flags().Lookup(meant) != nil {
		return meant
	}
	names := &cobra.Command{SuggestionsMinimumDistance: 2} // the library compares names of commands only
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	if like := names.SuggestionsFor(name); len(like) > 0 {
		return like[0]
	}
	return ""
}

// flagError explains what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if like := likeFlag(c, unknown.GetSpecifiedName()); like != "" {
			return fmt.Errorf("%w, perhaps --%s is meant", err, like)
		}
	}
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want := map[string]string{"duration": "a duration such as 90s, 10m or 1h", "int": "a whole number", "bool": "true or false"}
	f := bad.GetFlag()
	return fmt.Errorf("--%s: %q is not %s", f.Name, bad.GetValue(), cmp.Or(want[f.Value.Type()], "a "+f.Value.Type()))
}

// wrongUse makes the error of a command that was called in a wrong way.
func wrongUse(c *cobra.Command, format string, args ...any) error {
	return usageError{fmt.Errorf(format+"; see '%s --help'", append(args, c.CommandPath())...)}
}

// subcommand is the argument check of commands that only group others.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		hint = ", perhaps " + strings.Join(like, " or ") + " is meant"
	}
	return wrongUse(c, "%s has no command %q%s", c.CommandPath(), args[0], hint)
}

// noArguments is the argument check of commands that take flags only.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUse(c, "%s takes no argument, not %q%s", c.CommandPath(), args[0], meantFile(c, args[0]))
	}
	return nil
}

// meantFile guesses which flag a file among the arguments belongs to.
func meantFile(c *cobra.Command, arg string) string {
	info, err := os.Stat(arg)
	isFile, ext := err == nil && info.Mode().IsRegular(), filepath.Ext(arg)
	switch {
	case (ext == ".yml" || ext == ".yaml") && c.Flags().Lookup("config") != nil:
		return "; a configuration? --config " + arg
	case (isFile || ext == ".txt") && c.Flags().Lookup("intel") != nil:
		return "; a list? --intel " + arg
	}
	return ""
}

// arguments checks that there is at least one argument, or exactly one; what names
// it in the complaint.
func arguments(what string, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return wrongUse(c, "%s needs %s", c.CommandPath(), what)
		case len(args) > most:
			return wrongUse(c, "%s takes %s, not %d", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// anyNumber is the most arguments of a command that takes as many as there are.
const anyNumber = math.MaxInt
