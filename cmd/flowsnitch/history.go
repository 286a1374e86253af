package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/past"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newHistory groups the commands about the files of the history.
func newHistory() *cobra.Command {
	c := &cobra.Command{
		Use:     "history",
		Short:   "The history of contacts: list, import the past, erase",
		Example: "  flowsnitch history list\n  nfdump -R /var/cache/nfdump -o json | flowsnitch history import --name nfdump -",
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newHistoryList(), newHistoryImport(), newHistoryRemove(), newHistoryErase())
	return c
}

// A historyPlace is which history a command is about.
type historyPlace struct{ file, dir string }

func (p *historyPlace) flags(c *cobra.Command) {
	locateFlag(c, &p.file)
	c.Flags().StringVar(&p.dir, "dir", "", "`folder` of a history, instead of that in the state directory")
}

// find gives the configuration, and the folder of the history.
func (p *historyPlace) find(c *cobra.Command) (configs.Config, string, error) {
	cfg, from, err := locate(c, p.file)
	if err == nil && p.dir == "" {
		cfg, _, err = runningConfig(c.Context(), c, cfg, from)
	}
	if p.dir != "" {
		return cfg, p.dir, err
	}
	return cfg, filepath.Join(cfg.StateDir, app.HistoryDir), err
}

// newHistoryList makes the command that shows what there is.
func newHistoryList() *cobra.Command {
	var place historyPlace
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [-c FILE] [--dir DIR] [--json]",
		Short: "Show the live history and all imports: rows, size, and the days they cover",
		Long: `list shows of the live history and of each import its files, rows and size, and the
time that they cover, by when the flows were received. What a running instance has in
memory is not in it. Damaged files are named on standard error; the exit code is 1 then.`,
		Example: "  flowsnitch history list\n  flowsnitch history list --json | jq .[].rows",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			_, root, err := place.find(c)
			if err != nil {
				return err
			}
			return listHistories(c, root, asJSON)
		},
	}
	place.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// A listedHistory is one history in JSON; Name is empty for the live one.
type listedHistory struct {
	Name    string    `json:"name"`
	Files   int64     `json:"files"`
	Rows    int64     `json:"rows"`
	Bytes   int64     `json:"bytes"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Damaged []string  `json:"damaged,omitempty"`
}

func listHistories(c *cobra.Command, root string, asJSON bool) error {
	live, err := imports.Describe(disk.OS{}, root)
	if err != nil {
		return err
	}
	others, err := imports.List(disk.OS{}, imports.Folder(root))
	if err != nil {
		return err
	}
	var list []listedHistory
	damaged := 0
	for _, e := range append([]imports.Entry{live}, others...) {
		list = append(list, listedHistory{e.Name, e.Files, e.Rows, e.Bytes, e.From, e.To, e.Damaged})
		damaged += len(e.Damaged)
	}
	if asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(list)
	} else {
		printHistories(c.OutOrStdout(), list)
	}
	for _, h := range list {
		for _, d := range h.Damaged {
			fmt.Fprintf(c.ErrOrStderr(), "damaged: %s\n", show.Printable(d))
		}
	}
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d damaged files, whose contacts are missing in hunts", damaged)
	}
	return err
}

func printHistories(w io.Writer, list []listedHistory) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "history\tfrom (UTC)\tto (UTC)\trows\tsize\tfiles")
	for _, h := range list {
		from, to := "-", "-"
		if !h.From.IsZero() {
			from, to = h.From.UTC().Format("2006-01-02 15:04"), h.To.UTC().Format("2006-01-02 15:04")
		}
		name := h.Name
		if name == "" {
			name = "(live)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\n", name, from, to, h.Rows, observe.Size(uint64(h.Bytes)), h.Files)
	}
	_ = t.Flush() // an error of w shows elsewhere
}

// importOptions are the flags of an import.
type importOptions struct {
	historyPlace
	name, zone, exporter string
	sampling             uint32
	add                  bool
}

// newHistoryImport makes the command that imports captures and the output of nfdump.
func newHistoryImport() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import --name NAME [--append] [--timezone ZONE] [--sampling N] [--exporter ADDR] [-c FILE] [--dir DIR] FILE...|-",
		Short: "Make a history of captures of export packets, or of what nfdump prints",
		Long: `import makes a history of its own, in history/import/NAME of the state directory, of flows
from before flowsnitch was there. A hunt looks into it with --import NAME. It stays until
'flowsnitch history remove NAME', and has a limit of its own (history.import_max_bytes).
A running instance is not disturbed. An import that is interrupted leaves nothing.

Each FILE, or standard input for -, is a capture of export packets (pcap, pcapng), or
what nfdump has printed with -o csv, -o json or -o ndjson; the content decides. Files may
be compressed with gzip. Home networks, sites and history.exclude are those of the
configuration.

nfdump prints local times without their zone: --timezone is where it ran. JSON is best: it
has milliseconds, the exporter, NAT and whether a flow was sampled. The csv of nfdump
1.7.5 and later has no exporter unless it is asked for:
-o 'csv:%ra,%ts,%te,%tr,%pr,%sa,%sp,%da,%dp,%flg,%pkt,%byt,%opkt,%obyt'. Counters are taken as
they stand: nfdump has multiplied them by the sampling rate. Rows that cannot be read are
counted, the first few are shown. The exit code is 1 when nothing was usable.`,
		Example: `  flowsnitch history import --name march router-a.pcap router-b.pcap.gz
  nfdump -R /var/cache/nfdump/2025 -o json | flowsnitch history import --name year2025 -
  flowsnitch hunt --import year2025 198.51.100.7`,
		Args: arguments("a file, or - for standard input", anyNumber),
		RunE: func(c *cobra.Command, args []string) error { return importHistory(c, &o, args) },
	}
	o.flags(c)
	c.Flags().StringVar(&o.name, "name", "", "`name` of the import: a-z, 0-9, dot, hyphen, underscore")
	c.Flags().BoolVar(&o.add, "append", false, "add to an import that is there")
	c.Flags().StringVar(&o.zone, "timezone", "", "time `zone` in which nfdump ran, such as UTC or Europe/Berlin; default: that of this machine")
	c.Flags().Uint32Var(&o.sampling, "sampling", 0, "the flows of nfdump were sampled at 1 in `N`; counters stay as they are")
	c.Flags().StringVar(&o.exporter, "exporter", "", "`address` of the device, for rows of nfdump without one")
	return c
}

// config makes the configuration of an import.
func (o *importOptions) config(c *cobra.Command, cfg *configs.Config, root string) (past.Config, error) {
	p := past.Config{
		Root: imports.Folder(root), Name: o.name, Append: o.add, MaxBytes: int64(cfg.History.ImportMaxBytes), Edge: cfg.Profile == "edge",
		Recorder: app.HistoryRecorder(cfg),
		Exporters: func() *decode.Exporters {
			x := decode.NewExporters(cfg.Limits)
			app.ReadTunnels(x, cfg)
			x.SetSites(cfg.Contact.ExporterSites())
			return x
		},
		Sampling: o.sampling, Program: "flowsnitch " + version(), Home: app.HomeText(cfg), Disk: disk.OS{},
	}
	if err := imports.CheckName(o.name); err != nil {
		return p, wrongUse(c, "--name: %w", err)
	}
	if o.zone != "" {
		zone, err := time.LoadLocation(o.zone)
		if err != nil {
			return p, wrongUse(c, "--timezone: %q is not the name of a time zone, such as UTC or Europe/Berlin", o.zone)
		}
		p.Zone = zone
	}
	if o.exporter != "" {
		a, err := netip.ParseAddr(o.exporter)
		if err != nil {
			return p, wrongUse(c, "--exporter: %q is not an address", o.exporter)
		}
		p.Exporter = a.Unmap()
	}
	return p, nil
}

func importHistory(c *cobra.Command, o *importOptions, inputs []string) error {
	cfg, root, err := o.find(c)
	if err != nil {
		return err
	}
	p, err := o.config(c, &cfg, root)
	if err != nil {
		return err
	}
	if err := notTwice(c, inputs); err != nil {
		return err
	}
	if len(cfg.AllHome()) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "no home networks are configured, so every flow counts as transit: name the configuration with -c")
	}
	line := newProgress(c.ErrOrStderr())
	p.Progress = func(t time.Time) { line.show("at %s UTC", t.UTC().Format("2006-01-02 15:04")) }
	im, err := past.Open(p)
	if err != nil {
		return err
	}
	defer im.Abort()
	var errs []error
	for _, path := range inputs {
		err := importOne(c, im, path, line)
		if c.Context().Err() != nil {
			return errors.New("interrupted; nothing of the import was kept")
		}
		if err != nil && past.Fatal(err) {
			line.clear()
			return fmt.Errorf("%w; nothing of the import was kept", err)
		}
		errs = append(errs, err)
	}
	total, err := im.Finish(c.Context())
	line.clear()
	if err == nil {
		err = imports.Adopt(disk.OS{}, root)
	}
	if err != nil && c.Context().Err() != nil {
		err = errors.New("interrupted; nothing of the import was kept")
	}
	if failed := errors.Join(errs...); errors.Is(err, past.ErrNothing) && failed != nil {
		return failed
	}
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s kept%s; %s, %s\n", o.name, count(total.Kept+total.Folded, "flow", "flows"), show.Some(
		show.Count(total.Folded, "of them folded as scans"), show.Count(total.Internal, "internal, not kept"),
		show.Count(total.Excluded, "excluded"), show.Count(total.Lost, "lost"), show.Count(total.NoAddress, "without an address"),
		show.Count(total.Transit, "without an end in the home networks (transit)")), count(total.Files, "file", "files"), observe.Size(uint64(total.Bytes)))
	if total.Again > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%d of the days were in the import before: flows that were imported twice count twice\n", total.Again)
	}
	return errors.Join(errs...)
}

// notTwice refuses standard input that is named more than once.
func notTwice(c *cobra.Command, inputs []string) error {
	n := 0
	for _, path := range inputs {
		if path == "-" {
			n++
		}
	}
	if n > 1 {
		return wrongUse(c, "standard input (-) can be read once")
	}
	return nil
}

// importOne reads one input and reports on standard error what was in it.
func importOne(c *cobra.Command, im *past.Import, path string, line *progress) error {
	name, in := "standard input", c.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, causeOf(err))
		}
		defer f.Close()
		name, in = path, f
	}
	source, err := im.Read(c.Context(), name, in)
	line.clear()
	w := c.ErrOrStderr()
	if source.Capture != nil {
		sum := &captureSummary{}
		sum.read(*source.Capture)
		sum.decode.Add(source.Decode)
		fmt.Fprintf(w, "%s: ", name)
		sum.print(w)
		return err
	}
	r := &source.Rows
	if r.Form != "" {
		fmt.Fprintf(w, "%s: %s, %d lines: %d rows%s\n", name, r.Form, r.Lines, r.Rows, show.Some(show.Count(r.Bad, "rows that cannot be read")))
	}
	for _, s := range r.Samples {
		fmt.Fprintf(w, "  line %d: %s: %s\n", s.Line, s.Text, s.Reason)
	}
	if more := r.Bad - uint64(len(r.Samples)); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	if r.PacketsAsBytes > 0 {
		fmt.Fprintf(w, "  %d rows have the number of packets as bytes, an error of some versions of nfdump: they count 0 bytes; print them with -o json or -o csv\n", r.PacketsAsBytes)
	}
	if err == nil && r.Rows == 0 {
		err = fmt.Errorf("%s: no row of it can be used", name)
	}
	return err
}

// newHistoryRemove makes the command that removes imports.
func newHistoryRemove() *cobra.Command {
	var place historyPlace
	c := &cobra.Command{
		Use:     "remove [-c FILE] [--dir DIR] NAME...",
		Short:   "Remove imported histories",
		Long:    "remove removes imports with all their files. The live history is never removed by it.",
		Example: "  flowsnitch history remove year2025",
		Args:    arguments("the name of an import", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			_, root, err := place.find(c)
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range args {
				if err := imports.Remove(disk.OS{}, imports.Folder(root), name); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%s removed\n", name)
			}
			return errors.Join(errs...)
		},
	}
	place.flags(c)
	return c
}

// newHistoryErase makes the command that removes addresses from all histories.
func newHistoryErase() *cobra.Command {
	var place historyPlace
	var dry bool
	c := &cobra.Command{
		Use:   "erase [--dry-run] [-c FILE] [--dir DIR] ADDR|PREFIX...",
		Short: "Remove all contacts of addresses from the history and from all imports",
		Long: `erase writes the files of the live history and of all imports anew, without the contacts
that have one of the addresses on either side. A running instance does it, after it has
written what it has in memory; without one it is done on the files, and none can begin to write
meanwhile. It prints how many files and rows that were. Contacts that come later are kept
again: history.exclude is for those. Rows that stand for folded scans have no address of
ours, so they are only found by the address outside. Damaged files cannot be
searched: they are named, and the exit code is 1.`,
		Example: "  flowsnitch history erase --dry-run 192.0.2.17\n  flowsnitch history erase 192.0.2.17 2001:db8:7::/48",
		Args:    arguments("an address or prefix", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			prefixes, err := parsePrefixes(args)
			if err != nil {
				return err
			}
			cfg, root, err := place.find(c)
			if err != nil {
				return err
			}
			return eraseHistory(c, &cfg, root, place.dir == "", prefixes, dry)
		},
	}
	place.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only count what would be removed")
	return c
}

func eraseHistory(c *cobra.Command, cfg *configs.Config, root string, running bool, prefixes []netip.Prefix, dry bool) error {
	var done app.Erased
	err := error(web.ErrNotRunning)
	if running {
		query := url.Values{}
		for _, p := range prefixes {
			query.Add("prefix", p.String())
		}
		if dry {
			query.Set("dry_run", "true")
		}
		err = web.Request(c.Context(), cfg.StateDir, http.MethodPost, "/history/erase?"+query.Encode(), &done)
	}
	if errors.Is(err, web.ErrNotRunning) || err == nil && done.Off {
		done, err = eraseFiles(c.Context(), cfg, root, prefixes, dry)
	}
	if err != nil {
		return err
	}
	verb := "erased"
	if dry {
		verb = "would be erased"
	}
	fmt.Fprintf(c.OutOrStdout(), "%s in %s %s\n", count(done.Rows, "row", "rows"), count(done.Files, "file", "files"), verb)
	if done.Error != "" {
		return errors.New(done.Error)
	}
	return nil
}

// eraseFiles erases without an instance.
func eraseFiles(ctx context.Context, cfg *configs.Config, root string, prefixes []netip.Prefix, dry bool) (app.Erased, error) {
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return app.Erased{}, fmt.Errorf("%s: there is no history", root)
	}
	s, err := store.Open(store.Config{Root: root, Edge: cfg.Profile == "edge", Program: "flowsnitch " + version(), Home: app.HomeText(cfg)})
	if errors.Is(err, disk.ErrLocked) {
		return app.Erased{}, fmt.Errorf("%s: an instance writes there, but does not answer on its control socket: %w", root, err)
	}
	if err != nil {
		return app.Erased{}, err
	}
	erase := s.Erase
	if dry {
		erase = s.Count
	}
	done, err := app.EraseHistory(ctx, root, prefixes, erase)
	err = errors.Join(err, s.Close(), imports.Adopt(disk.OS{}, root))
	return done, err
}
