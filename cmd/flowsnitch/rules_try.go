package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	capturefile "github.com/flowsnitch/flowsnitch/flow/capture/file"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/past"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/follow"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/match"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// A ruleTest is what rules are tried on.
type ruleTest struct {
	config, dir, imported, since, until string
	history                             bool
	hits, captures, lists               []string
	asJSON                              bool
}

// newRulesTest makes the command that shows what would have fired.
func newRulesTest() *cobra.Command {
	var o ruleTest
	c := &cobra.Command{
		Use:   "test [FILE...] --history | --hits HITLOG... | --capture CAPTURE... [-c FILE] [--since 30d] [--json]",
		Short: "Show which alerts rules would have raised over the history, a hit log or a capture",
		Long: `test runs rules over what was, and prints each alert that they would have raised: time,
severity and a sentence, or with --json the event that 'run' would send. A summary
goes to standard error. Without FILE these are the shipped and configured rules that are on.

--history is for rules over contacts: it reads the files of the contact history in the state
directory (--dir, --import: another one), hour by hour; what a running instance has in memory is
not in it. Files that cover a day have of each contact the hours with traffic; its flows are taken
to be spread evenly over these. --hits is for rules over hits: a hit log (JSON lines, also .gz; "-" is standard
input), with the files beside it that were rotated. --capture takes export packets through the
path that 'run' uses, with the lists of --intel or the last good copies, and runs all rules.

Nothing is remembered or sent, and a running instance is not disturbed. What is silenced now,
or was when it came, and offenders whose incident is a false alarm are left out, as a running
instance does it; the summary counts them.`,
		Example: `  flowsnitch rules test --history --since 30d
  flowsnitch rules test mine.yml --hits /var/log/flowsnitch/hits.json --json | jq .flowsnitch.rule
  flowsnitch rules test mine.yml --capture router.pcap --intel bad.txt`,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	locateFlag(c, &o.config)
	intelFlag(c, &o.lists)
	f := c.Flags()
	f.BoolVar(&o.history, "history", false, "try rules over contacts on the contact history")
	f.StringVar(&o.dir, "dir", "", "`folder` of the history, instead of that in the state directory")
	f.StringVar(&o.imported, "import", "", "the imported history of this `name`")
	f.StringArrayVar(&o.hits, "hits", nil, "try rules over hits on a hit log, a `file` of JSON lines (repeatable)")
	f.StringArrayVar(&o.captures, "capture", nil, "try rules on captured export packets, a `file` (repeatable)")
	f.StringVar(&o.since, "since", "", "what was received since a `time`: 30d, 12h, 2026-11-01 (local time), or RFC 3339; default: all")
	f.StringVar(&o.until, "until", "", "what was received until a `time`, a day as a whole; default: all")
	f.BoolVar(&o.asJSON, "json", false, "print each alert as the event that 'run' would send, one a line")
	return c
}

// run reads the flags and tries the rules.
func (o *ruleTest) run(c *cobra.Command, files []string) error {
	switch {
	case o.dir != "" || o.imported != "":
		o.history = true
		if o.dir != "" && o.imported != "" {
			return usageError{errors.New("--dir and --import are two places: name one")}
		}
	case !o.history && len(o.hits)+len(o.captures) == 0:
		return wrongUse(c, "%s needs --history, --hits FILE or --capture FILE", c.CommandPath())
	}
	now := time.Now()
	since, err := parseTime("--since", o.since, now, false)
	if err != nil {
		return err
	}
	until, err := parseTime("--until", o.until, now, true)
	if err != nil {
		return err
	}
	cfg, _, err := loadListed(c, o.config, o.lists)
	if err != nil {
		return err
	}
	book := rulebook.Load(cfg.Rules)
	if len(files) > 0 {
		if book, err = rulesOf(files); err != nil {
			return err
		}
	}
	complainRules(c, book)
	quiet, err := readQuiet(c, &cfg)
	if err != nil {
		return err
	}
	t := &trial{c: c, cfg: &cfg, book: book, quiet: quiet, since: since, until: until, asJSON: o.asJSON, out: bufio.NewWriterSize(c.OutOrStdout(), 1<<16),
		fired: make(map[string]uint64), hourly: make(map[hourOfRule]uint64)}
	err = o.try(t)
	return errors.Join(err, t.out.Flush())
}

// readQuiet reads what the rules of the instance would leave out: from the instance, or from
// what it has left in the state directory.
func readQuiet(c *cobra.Command, cfg *configs.Config) (*app.RuleQuiet, error) {
	book, err := app.ReadSilences(cfg)
	if err != nil {
		return nil, err
	}
	var alarms map[netip.Addr]bool
	if cfg.Incidents.Enabled {
		alarms, err = app.FalseAlarms(c.Context(), remoteDesk{cfg.StateDir}.List)
		if errors.Is(err, web.ErrNotRunning) {
			alarms, err = falseAlarmsLeft(c, cfg)
		}
		if err != nil { // it is no reason not to try rules
			fmt.Fprintf(c.ErrOrStderr(), "which offenders are false alarms is not known, so all are judged: %v\n", err)
		}
	}
	return app.NewRuleQuiet(book, alarms), nil
}

// falseAlarmsLeft reads them from the database; there may be none yet.
func falseAlarmsLeft(c *cobra.Command, cfg *configs.Config) (map[netip.Addr]bool, error) {
	d, err := openDesk(c.Context(), cfg, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	alarms, err := app.FalseAlarms(c.Context(), d.List)
	return alarms, errors.Join(err, d.close(c.Context()))
}

func (o *ruleTest) try(t *trial) error {
	t.unused(o)
	var errs []error
	if o.history {
		errs = append(errs, o.tryHistory(t))
	}
	if len(o.hits) > 0 {
		errs = append(errs, t.hitLogs(o.hits))
	}
	if len(o.captures) > 0 {
		errs = append(errs, t.captures(o.captures, o.lists))
	}
	if t.c.Context().Err() != nil {
		return errors.New("interrupted; this is not all")
	}
	return errors.Join(errs...)
}

func (o *ruleTest) tryHistory(t *trial) error {
	in := folder.Open(disk.OS{}, o.dir)
	if o.dir == "" {
		var err error
		if in, err = app.OpenHistory(t.cfg.StateDir, o.imported); err != nil {
			return usageError{err}
		}
	}
	if info, err := os.Stat(in.Root()); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("there is no contact history in %s", in.Root())}
	}
	return t.history(in)
}

// A trial runs rules over what was.
type trial struct {
	c            *cobra.Command
	cfg          *configs.Config
	book         *rulebook.Book
	quiet        *app.RuleQuiet
	since, until time.Time
	asJSON       bool
	out          *bufio.Writer
	line         []byte
	fired        map[string]uint64     // alerts by rule, of one part
	hourly       map[hourOfRule]uint64 // likewise
	began        time.Duration         // CPU time
}

type hourOfRule struct {
	rule string
	hour int64
}

// unused names the rules that nothing is there for.
func (t *trial) unused(o *ruleTest) {
	if len(o.captures) > 0 {
		return
	}
	for _, part := range []struct {
		over rule.Over
		has  bool
		with string
	}{{rule.Contacts, o.history, "--history or --capture"}, {rule.Hits, len(o.hits) > 0, "--hits or --capture"}} {
		var names []string
		for _, r := range t.book.On() {
			if r.Over == part.over && r.Generate {
				names = append(names, r.Name)
			}
		}
		if len(names) > 0 && !part.has {
			fmt.Fprintf(t.c.ErrOrStderr(), "not run, as they are over %s (%s): %s\n", part.over, part.with, strings.Join(names, ", "))
		}
	}
}

// engine begins a part.
func (t *trial) engine(over rule.Over) *detect.Engine {
	clear(t.fired)
	clear(t.hourly)
	t.began = cpuTime()
	return detect.New(detect.Config{Over: over, Rules: t.book.On(), MaxGroups: t.cfg.Rules.MaxGroups, MaxBytes: int(t.cfg.Rules.MaxBytes), Seed: 1})
}

// take prints the alerts that there are.
func (t *trial) take(e *detect.Engine) {
	for _, a := range e.Alerts() {
		t.fired[a.Rule.Name]++
		t.hourly[hourOfRule{a.Rule.Name, a.To.Unix() / 3600}]++
		if t.asJSON {
			ev := a.Event(t.cfg.Name)
			t.line = event.AppendJSON(t.line[:0], &ev)
			_, _ = t.out.Write(t.line) // the error stays and comes with Flush
			continue
		}
		again := ""
		if a.Update {
			again = " (has doubled)"
		}
		fmt.Fprintf(t.out, "%s\t%s\t%s%s\n", a.To.Format(time.RFC3339), a.Rule.Level, show.Printable(a.Sentence()), again)
	}
}

// summary ends a part.
func (t *trial) summary(e *detect.Engine, what string, notes []show.Tally) {
	_ = t.out.Flush() // the error stays
	w := t.c.ErrOrStderr()
	s := e.Stats()
	var names []string
	for name := range t.fired {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if t.fired[a] != t.fired[b] {
			return int(int64(t.fired[b]) - int64(t.fired[a]))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, t.fired[name])
	}
	text := "no alert"
	if len(names) > 0 {
		text = "1 alert"
		if n := s.Alerts + s.Updates; n > 1 {
			text = fmt.Sprintf("%d alerts", n)
		}
		if s.Updates > 0 {
			text += fmt.Sprintf(", %d of them because they doubled", s.Updates)
		}
		text += ": " + strings.Join(names, ", ")
	}
	fmt.Fprintf(w, "%s: %s\n", what, text)
	notes = append(notes, show.Count(s.Late, "that came more than two minutes late and were not judged"))
	fmt.Fprintf(w, "  %d observations judged, %s of CPU time, %d groups (%s) at the end, %d dropped to make room%s\n",
		s.Observations, (cpuTime() - t.began).Round(10*time.Millisecond), s.Groups, observe.Size(uint64(s.Bytes)), s.Dropped, show.Some(notes...))
	noisy := make(map[string]bool)
	for at, n := range t.hourly {
		if n > follow.MostAlerts {
			noisy[at.rule] = true
		}
	}
	for _, r := range t.book.On() {
		if noisy[r.Name] {
			fmt.Fprintf(w, "  %s raised more than %d alerts within an hour: a running instance would quarantine it for an hour\n", r.Name, follow.MostAlerts)
		}
	}
}

// cpuTime is that of the process until now.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// buffered is how many observations of a file of a day may be in memory.
const buffered = 1_000_000

// history tries rules over contacts.
func (t *trial) history(in *folder.Folder) error {
	e := t.engine(rule.Contacts)
	line := newProgress(t.c.ErrOrStderr())
	to := &contacts.Audible{Taker: e, Quiet: t.quiet.IsQuiet}
	done, err := contacts.Read(t.c.Context(), in, to, contacts.Query{From: t.since, To: t.until, MaxBuffered: buffered, Ended: func(hour time.Time) error {
		t.take(e)
		line.show("at %s UTC", hour.Format("2006-01-02 15:04"))
		return nil
	}})
	line.clear()
	t.take(e)
	for _, bad := range done.Bad {
		fmt.Fprintf(t.c.ErrOrStderr(), "%s: %v\n", show.Printable(bad.Path), bad.Err)
	}
	t.summary(e, fmt.Sprintf("contacts: %d rows of %d files", done.Rows, done.Files), []show.Tally{
		show.Count(done.Spread, "rows of several hours, whose flows were spread evenly over them"),
		show.Count(done.Lost, "flows that the history has lost"),
		show.Count(to.Left, "of silenced addresses and false alarms, left out"),
	})
	if err == nil && len(done.Bad) > 0 {
		err = fmt.Errorf("%d files of the history cannot be read; this is not all", len(done.Bad))
	}
	return err
}

// A hitTrial runs rules over events.
type hitTrial struct {
	*trial
	engine *detect.Engine
	hits   *hits.Hits
	bad    uint64 // lines that are no event
	first  error
}

func (t *trial) overHits() *hitTrial {
	e := t.engine(rule.Hits)
	return &hitTrial{trial: t, engine: e, hits: hits.New(hits.Config{Text: e.Text, MaxContacts: t.cfg.Rules.MaxGroups, FalseAlarm: t.quiet.IsFalseAlarm})}
}

func (h *hitTrial) event(e *event.Event) {
	if !h.since.IsZero() && e.Time.Before(h.since) || !h.until.IsZero() && e.Time.After(h.until) {
		return
	}
	h.quiet.Stamp(e)
	list := h.hits.Of(e)
	for i := range list {
		h.engine.Observe(&list[i])
	}
	h.take(h.engine)
}

func (h *hitTrial) end(what string) {
	s := h.hits.Stats()
	h.summary(h.engine, fmt.Sprintf("hits: %d events of %s", s.Judged+s.Alerts+s.Canaries+s.Retro+s.Silenced+s.FalseAlarms+s.Covered, what), []show.Tally{
		show.Count(s.Alerts, "alerts"), show.Count(s.Canaries, "canaries"), show.Count(s.Retro, "hits found in the past"),
		show.Count(s.Silenced, "silenced"), show.Count(s.FalseAlarms, "of offenders whose incident is a false alarm"), show.Count(s.Covered, "without news"), show.Count(s.Partly, "of contacts that began before"),
		show.Count(s.Forgotten, "contacts forgotten to make room"), show.Count(h.bad, "lines that are no event"),
	})
	if h.first != nil {
		fmt.Fprintf(h.c.ErrOrStderr(), "  the first of these: %v\n", h.first)
	}
}

// hitLogs tries rules over hits on hit logs.
func (t *trial) hitLogs(paths []string) error {
	h := t.overHits()
	files := 0
	var errs []error
	for _, path := range paths {
		for _, one := range withRotated(path) {
			files++
			if err := h.log(one); err != nil {
				errs = append(errs, err)
			}
		}
	}
	h.end(fmt.Sprintf("%d files", files))
	if h.bad > 0 && h.hits.Stats().Judged == 0 {
		errs = append(errs, errors.New("no hit in it: these are not the lines of a hit log"))
	}
	return errors.Join(errs...)
}

// rotatedName is what the names of rotated hit logs have behind that of the hit log.
var rotatedName = regexp.MustCompile(`^-\d{8}-\d{6}(\.gz)?$`)

// withRotated gives a hit log behind the files beside it that it was before, the oldest first.
func withRotated(path string) []string {
	names, _ := os.ReadDir(filepath.Dir(path))
	var list []string
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n.Name(), filepath.Base(path)); ok && rotatedName.MatchString(rest) {
			full := filepath.Join(filepath.Dir(path), n.Name())
			if plain := strings.TrimSuffix(full, ".gz"); !slices.Contains(list, plain) { // both are there while it is compressed
				list = append(list, full)
			}
		}
	}
	return append(list, path)
}

// log reads one file of a hit log.
func (h *hitTrial) log(path string) error {
	var in io.Reader = h.c.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, causeOf(err))
		}
		defer f.Close()
		in = f
	}
	plain, _, err := capturefile.Unpack(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	b := bufio.NewReaderSize(plain, event.MaxJSON+2)
	for n := 1; ; n++ {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = b.ReadSlice('\n')
			}
			line = []byte("longer than an event")
		}
		if len(line) > 0 && len(strings.TrimSpace(string(line))) > 0 {
			h.parse(path, n, line)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: line %d: %w", path, n, err)
		case n%1024 == 0 && h.c.Context().Err() != nil:
			return context.Canceled
		}
	}
}

func (h *hitTrial) parse(path string, n int, line []byte) {
	e, err := event.ParseJSON(line)
	if err != nil {
		h.bad++
		if h.first == nil {
			h.first = fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		return
	}
	h.event(&e)
}

// captures tries rules on captures: over hits through the real path, over contacts by a
// history that is made of them aside.
func (t *trial) captures(paths, lists []string) error {
	table, _, err := buildTable(t.c, t.cfg, lists)
	if err != nil {
		return err
	}
	if table.Len() == 0 {
		fmt.Fprintln(t.c.ErrOrStderr(), "nothing is listed, so nothing can be a hit: give a list of prefixes with --intel FILE")
	}
	store := lookup.NewStore()
	store.Swap(table)
	h := t.overHits()
	var errs []error
	for _, path := range paths {
		errs = append(errs, h.capture(store, path))
	}
	h.end(fmt.Sprintf("%d captures", len(paths)))
	return errors.Join(errors.Join(errs...), t.contactsOf(paths))
}

// capture takes a capture through the path of 'run'.
func (h *hitTrial) capture(store *lookup.Store, path string) error {
	x := decode.NewExporters(h.cfg.Limits)
	app.ReadTunnels(x, h.cfg)
	x.SetSites(h.cfg.Contact.ExporterSites())
	all := correlate.New(h.cfg.Contact, func(events []event.Event) {
		for i := range events {
			h.event(&events[i])
		}
	})
	var now time.Time
	m := match.NewMatcher(store, queue.Direct(all, func() time.Time { return now }))
	d := decode.New(x, m)
	err := eachDatagram(h.c, path, &captureSummary{}, func(dg *flow.Datagram) {
		now = dg.Received
		all.Tick(now)
		d.Decode(dg)
		m.Flush()
	})
	all.Flush(now)
	if stats := d.Stats(); err == nil && stats.Datagrams() == 0 {
		err = fmt.Errorf("%s: no NetFlow, IPFIX or sFlow in it", path)
	}
	return err
}

// contactsOf tries rules over contacts on captures.
func (t *trial) contactsOf(paths []string) error {
	if !slices.ContainsFunc(t.book.On(), func(r *rule.Rule) bool { return r.Over == rule.Contacts }) {
		return nil
	}
	root, err := os.MkdirTemp("", "flowsnitch-rules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	o := importOptions{name: "capture"}
	p, err := o.config(t.c, t.cfg, root)
	if err != nil {
		return err
	}
	im, err := past.Open(p)
	if err != nil {
		return err
	}
	defer im.Abort()
	for _, path := range paths {
		if err := t.importCapture(im, path); err != nil {
			return err
		}
	}
	if _, err := im.Finish(t.c.Context()); err != nil {
		return err
	}
	return t.history(folder.Open(disk.OS{}, filepath.Join(imports.Folder(root), o.name)))
}

func (t *trial) importCapture(im *past.Import, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, causeOf(err))
	}
	defer f.Close()
	if _, err := im.Read(t.c.Context(), path, f); err != nil && past.Fatal(err) {
		return err
	}
	return nil // what is wrong with the capture was said before
}
