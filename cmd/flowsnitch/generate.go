//go:build packaging

package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// packagingCommands gives the command that packages are built with (deploy/package).
// It needs the build tag packaging, for the writer of man pages is half a megabyte that
// nobody needs on a Pi.
func packagingCommands() []*cobra.Command { return []*cobra.Command{newGenerate()} }

// newGenerate groups what a package needs beside the program. It is hidden, so that
// the pages and completions do not mention it.
func newGenerate() *cobra.Command {
	c := &cobra.Command{
		Use:     "generate",
		Short:   "Write man pages or shell completions, for packages",
		Example: "  flowsnitch generate man /usr/share/man/man1",
		Hidden:  true,
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:   "man DIR",
			Short: "Write a compressed man page of each command",
			Long: `man writes a man page of each command into a folder. Their date is that of
SOURCE_DATE_EPOCH (seconds since 1970) where it is set, so that the same sources give
the same bytes.`,
			Example: "  flowsnitch generate man /usr/share/man/man1",
			Args:    arguments("a folder", 1),
			RunE:    func(c *cobra.Command, args []string) error { return generateMan(c.Root(), args[0]) },
		},
		&cobra.Command{
			Use:     "completion DIR",
			Short:   "Write the completions for bash, zsh and fish",
			Example: "  flowsnitch generate completion out",
			Args:    arguments("a folder", 1),
			RunE:    func(c *cobra.Command, args []string) error { return generateCompletion(c.Root(), args[0]) },
		},
	)
	return c
}

// generateMan writes the pages of a command and of those below it, compressed as
// Debian wants them: without time or name.
func generateMan(root *cobra.Command, dir string) error {
	date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	plain, err := os.MkdirTemp("", "flowsnitch-man-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(plain)
	root.DisableAutoGenTag = true // its date would be that of the build
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: "flowsnitch " + version(), Manual: "flowsnitch"}
	if err := doc.GenManTree(root, header, plain); err != nil {
		return fmt.Errorf("man pages: %w", err)
	}
	pages, err := os.ReadDir(plain)
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := compress(filepath.Join(plain, p.Name()), filepath.Join(dir, p.Name()+".gz")); err != nil {
			return err
		}
	}
	return nil
}

// sourceDate reads the value of SOURCE_DATE_EPOCH; without one it is now.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	s, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || s < 0 {
		return time.Time{}, usageError{fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds since 1970", epoch)}
	}
	return time.Unix(s, 0).UTC(), nil
}

func compress(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	w, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// generateCompletion writes a file for each shell, named as the shell looks for it.
func generateCompletion(root *cobra.Command, dir string) error {
	for name, generate := range map[string]func(io.Writer) error{
		"flowsnitch":      func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_flowsnitch":     root.GenZshCompletion,
		"flowsnitch.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := generate(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
