package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/spf13/cobra"
)

// newIntel groups the commands about lists.
func newIntel() *cobra.Command {
	c := &cobra.Command{
		Use:     "intel",
		Short:   "Feeds and lists of prefixes: fetch, judge, look into",
		Example: "  flowsnitch intel status\n  flowsnitch intel parse bad.txt",
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newIntelStatus(), newIntelUpdate(), newIntelAccept(), newIntelPresets(), newIntelParse())
	return c
}

// newIntelParse makes the command that shows what a parser finds in a file.
func newIntelParse() *cobra.Command {
	var opts document.Options
	var now string
	var refs bool
	c := &cobra.Command{
		Use:   "parse [--format F] [--path P] [--now TIME] [--refs] FILE",
		Short: "Print the prefixes that a list holds, one a line",
		Long: `parse prints what the parser finds in a file ("-" for standard input): canonical
prefixes, sorted, exclusions with "!", before guards, allowlists and ageing. A report
goes to standard error. Without --format the content decides. The exit code is 1 for a list
that is rejected: it is not what its format requires, its end is missing, it announces
another number of rows than it holds, or none of its rows has a prefix. An empty list is
not rejected, nor is a page of MISP, OTX or STIX without addresses.

Formats: ` + strings.Join(feeds.Formats(), ", "),
		Example: `  flowsnitch intel parse bad.txt
  flowsnitch intel parse --format drop-json drop_v4.json
  flowsnitch intel parse --path data.ip answer.json`,
		Args: arguments("one file", 1),
		RunE: func(c *cobra.Command, args []string) error {
			if opts.Format != "" {
				if err := feeds.CheckFormat(opts.Format); err != nil {
					return usageError{err}
				}
			}
			if err := feeds.CheckPath(opts.Path); err != nil {
				return usageError{fmt.Errorf("--path: %w", err)}
			}
			if opts.Path != "" && opts.Format != "" && opts.Format != "json" {
				return usageError{fmt.Errorf("--path: the format %s has none; it belongs to json", opts.Format)}
			}
			if now != "" {
				t, err := time.Parse(time.RFC3339, now)
				if err != nil {
					return usageError{fmt.Errorf("--now: %q is no time such as 2026-11-20T00:00:00Z", now)}
				}
				opts.Now = t
			}
			return parseList(c, args[0], opts, refs)
		},
	}
	c.Flags().StringVar(&opts.Format, "format", "", "`format` of the file; default: detected by content")
	c.Flags().StringVar(&opts.Path, "path", "", "`members` of JSON that hold the addresses, such as data.ip or a[].b, several with commas")
	c.Flags().StringVar(&now, "now", "", "`time` that decides what has expired, RFC 3339; default: the clock")
	c.Flags().BoolVar(&refs, "refs", false, "print the feed's own id behind each prefix")
	return c
}

func parseList(c *cobra.Command, path string, opts document.Options, refs bool) error {
	var in io.Reader = c.InOrStdin()
	if path != "-" {
		f, err := openList(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	var list feeds.Listing
	r, err := feeds.Parse(in, opts, list.Add)
	printReport(c.ErrOrStderr(), &r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	write := list.WritePrefixes
	if refs {
		write = list.WriteRefs
	}
	if err := write(c.OutOrStdout()); err != nil {
		return err
	}
	if why := rejection(&r); why != "" {
		return fmt.Errorf("%s: rejected: %s", path, why)
	}
	return nil
}

// rejection returns why a list as a whole is not used as a feed; empty = it is. Documents of
// objects may have no address, as other objects of their source have.
func rejection(r *document.Report) string {
	switch r.Verdict {
	case document.Truncated:
		return "its end is missing"
	case document.Mismatch:
		return fmt.Sprintf("it announces %d entries and holds %d", r.Declared, r.Accepted+r.Excluded+r.Rejected+r.Skipped)
	case document.NoPrefix:
		if !slices.Contains([]string{"misp", "otx", "stix"}, r.Format) {
			return fmt.Sprintf("no prefix in %d rows", r.Rejected+r.Skipped)
		}
	}
	return ""
}

// openList opens a file of listed prefixes. The error begins with its path, once.
func openList(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err == nil {
		info, e := file.Stat()
		if err = e; e == nil && info.IsDir() {
			err = errors.New("is a directory, not a list")
		}
		if err != nil {
			file.Close()
		}
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

func printReport(w io.Writer, r *document.Report) {
	fmt.Fprintf(w, "%s: %s, %d accepted, %d exclusions, %d rejected, %d skipped, %d comments\n",
		cmp.Or(r.Format, "no format"), r.Verdict, r.Accepted, r.Excluded, r.Rejected, r.Skipped, r.Comments)
	if r.RejectedParts > 0 {
		fmt.Fprintf(w, "  and %d rejected parts of rows of which others were accepted\n", r.RejectedParts)
	}
	if !r.Updated.IsZero() {
		fmt.Fprintf(w, "  data of %s by their own date\n", r.Updated.Format(time.RFC3339))
	}
	for _, s := range r.Samples {
		fmt.Fprintf(w, "  line %d: %s: %s\n", s.Line, s.Text, s.Reason)
	}
	if more := r.Rejected + r.RejectedParts - len(r.Samples); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
