package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newIntelStatus makes the command that shows how fresh the feeds are.
func newIntelStatus() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [-c FILE] [--json]",
		Short: "Show how fresh each feed is, and what is held back",
		Long: `status shows of each feed: its age (since the source last confirmed it), that of its
data where they bear a date, the entries
in use and how many more or fewer than before, the share of them that no other feed
has, the hits of the last day, what became of its incidents (confirmed: taken or closed;
false alarms; not judged), the last HTTP code, the next fetch, and what is wrong.
Without a running instance it reads the state directory, with a note on standard error.`,
		Example: "  flowsnitch intel status -c /etc/flowsnitch/flowsnitch.yml",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			var s judgedFeeds
			if s.IntelStatus, err = feedsStatus(c, &cfg, &from); err != nil {
				return err
			}
			if s.Verdicts, err = verdictsOf(c.Context(), &cfg); err != nil {
				fmt.Fprintf(c.ErrOrStderr(), "what became of the incidents of each feed cannot be shown: %s\n", show.Printable(err.Error()))
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			printFeeds(c.OutOrStdout(), &s, time.Now())
			return nil
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// judgedFeeds are the feeds with what people have found out about their incidents.
type judgedFeeds struct {
	app.IntelStatus
	Verdicts []incident.Verdict `json:"verdicts,omitempty"`
}

// of gives the verdicts of a feed as three columns.
func (s *judgedFeeds) of(feed string) string {
	for _, v := range s.Verdicts {
		if v.Feed == feed {
			return fmt.Sprintf("%d\t%d\t%d", v.Confirmed, v.False, v.Open)
		}
	}
	return "-\t-\t-"
}

// verdictsOf gives the verdicts of all feeds; none where there is no database.
func verdictsOf(ctx context.Context, cfg *configs.Config) ([]incident.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupIncidentTime)
	defer cancel()
	d, end, err := deskBeside(ctx, cfg)
	defer end()
	if d == nil || err != nil {
		return nil, err
	}
	return d.Verdicts(ctx)
}

// feedsStatus asks the running instance, or reads the state directory.
func feedsStatus(c *cobra.Command, cfg *configs.Config, from *origin) (app.IntelStatus, error) {
	var s app.Status
	err := web.Ask(c.Context(), cfg.StateDir, "/status", &s)
	if !errors.Is(err, web.ErrNotRunning) {
		return s.Intel, err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%v; this is what its state directory holds, by %s\n", err, from)
	t, feeds, err := app.BuildTable(cfg, nil)
	if t != nil {
		s.Intel.Indicators, s.Intel.Version = t.Len(), t.Version()
	}
	s.Intel.Feeds = feeds
	return s.Intel, err
}

// printFeeds prints a table of the feeds, and below it what is wrong.
func printFeeds(w io.Writer, s *judgedFeeds, now time.Time) {
	fmt.Fprintf(w, "set %s, %d indicators\n", s.Version, s.Indicators)
	if len(s.Feeds) == 0 {
		fmt.Fprintln(w, "no feed is configured")
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "feed\tage\tdata\tentries\tdelta\tunique\thits/day\tconfirmed\tfalse\tnot judged\thttp\tnext\tstate")
	for i := range s.Feeds {
		f := &s.Feeds[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%+d\t%s\t%d\t%s\t%s\t%s\t%s\n", show.Printable(f.Name), ageOf(f, now), dataOf(f, now), f.Entries, f.Delta,
			uniqueOf(f), s.HitsDay[f.Name], s.of(f.Name), codeOf(f), nextOf(f, now), stateOf(f))
	}
	_ = t.Flush() // an error of w shows elsewhere
	for i := range s.Feeds {
		printTrouble(w, &s.Feeds[i], now)
	}
	for _, q := range s.Quarantined {
		fmt.Fprintf(w, "%s: quarantined for %s: %s; its inbound flows without an answer are one contact for a day, or until 'flowsnitch intel accept %s'\n", q.Prefix, short(now.Sub(q.Since)), q.Why, q.Prefix)
	}
}

func ageOf(f *fetch.Status, now time.Time) string {
	if f.Taken.IsZero() {
		return "never"
	}
	return short(f.Age(now))
}

// dataOf is the age of the data by their own words.
func dataOf(f *fetch.Status, now time.Time) string {
	age, ok := f.DataAge(now)
	if !ok {
		return "-"
	}
	return short(age)
}

// short gives a duration in its largest unit or two.
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour && d%time.Hour < time.Minute:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// uniqueOf is the share of the entries in use that no other feed has.
func uniqueOf(f *fetch.Status) string {
	if f.Accepted == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", 100*f.Unique/f.Accepted)
}

func codeOf(f *fetch.Status) string {
	if f.Code == 0 {
		return "-"
	}
	return fmt.Sprint(f.Code)
}

func nextOf(f *fetch.Status, now time.Time) string {
	if f.Next.IsZero() || f.Kind == "file" || f.Kind == "dir" {
		return "-"
	}
	return short(max(f.Next.Sub(now), 0))
}

// stateOf is one word for the state of a feed.
func stateOf(f *fetch.Status) string {
	switch {
	case f.Held != "":
		return "held back"
	case f.Incomplete:
		return "incomplete"
	case f.Error != "" && f.Taken.IsZero():
		return "missing"
	case f.Error != "":
		return "stale"
	case f.Taken.IsZero():
		return "waiting"
	}
	return "ok"
}

// printTrouble prints what is odd about a feed, and what can be done.
func printTrouble(w io.Writer, f *fetch.Status, now time.Time) {
	say := func(format string, args ...any) {
		fmt.Fprintf(w, "%s: %s\n", show.Printable(f.Name), show.Printable(fmt.Sprintf(format, args...)))
	}
	if f.Held != "" {
		say("held back since %s: a copy of %d entries, %s; 'flowsnitch intel accept %s' takes it", short(now.Sub(f.HeldSince)), f.HeldEntries, f.Held, f.Name)
	}
	if f.Error != "" {
		say("failed %s: %s", times(f.Failures), f.Error)
	}
	if f.Incomplete {
		say("its first reading is not complete; the %d entries that have come are used, and the next fetch goes on there", f.Entries)
	}
	for _, p := range f.Bad {
		say("cannot read %s for %s: %s; the others are used, and it is asked for again", p.Name, short(max(now.Sub(p.Since), 0)), p.Why)
	}
	if more := f.BadPieces - len(f.Bad); more > 0 {
		say("cannot read %d more pieces", more)
	}
	if f.Unreadable != "" {
		say("the stored copy cannot be read: %s; its entries in force stay", f.Unreadable)
	}
	if f.Note != "" {
		say("%s", f.Note)
	}
	if c := app.Complaint(f); c != "" {
		say("%s", c)
	}
	if age, _ := f.DataAge(now); f.DataOld(now) {
		say("the data are %s old by their own date (%s), however new the copy is", short(age), f.Updated.UTC().Format(time.DateOnly))
	}
	if f.Stopped > 0 {
		say("stopped %d look-ups that would have been hits", f.Stopped)
	}
}

func times(n int) string {
	if n < 2 {
		return "at the last attempt"
	}
	return fmt.Sprintf("%d times in a row, at last", n)
}

// newIntelUpdate makes the command that fetches now.
func newIntelUpdate() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "update [-c FILE] [FEED]...",
		Short: "Fetch feeds now, within their providers' rate limits",
		Long: `update fetches the feeds named, or all, at once: the running instance does, and uses
what it gets. Without one the copies in the state directory are brought up to date for
the next start. Providers' rate limits apply to manual updates too.`,
		Example: "  flowsnitch intel update\n  flowsnitch intel update -c /etc/flowsnitch/flowsnitch.yml spamhaus-drop",
		RunE: func(c *cobra.Command, names []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			answers, err := updateFeeds(c, &cfg, &from, names)
			if err != nil {
				return err
			}
			return printAnswers(c.OutOrStdout(), answers, time.Now())
		},
	}
	locateFlag(c, &file)
	return c
}

func updateFeeds(c *cobra.Command, cfg *configs.Config, from *origin, names []string) ([]fetch.Answer, error) {
	var answers []fetch.Answer
	query := url.Values{"feed": names}.Encode()
	err := web.Request(c.Context(), cfg.StateDir, http.MethodPost, "/intel/update?"+query, &answers)
	if !errors.Is(err, web.ErrNotRunning) {
		return answers, err
	}
	err = withoutInstance(c, cfg, from, err, func(m *fetch.Manager) (err error) {
		answers, err = m.Update(c.Context(), names...)
		return err
	})
	return answers, err
}

// withoutInstance works on the feeds in the state directory.
func withoutInstance(c *cobra.Command, cfg *configs.Config, from *origin, why error, work func(*fetch.Manager) error) error {
	fmt.Fprintf(c.ErrOrStderr(), "%v; this works on its state directory, by %s\n", why, from)
	m := fetch.New(cfg.Intel, fetch.Options{Dir: filepath.Join(cfg.StateDir, app.FeedsDir), Version: version(), Home: cfg.AllHome(), NAT64: cfg.NAT64})
	defer m.Stop()
	return work(m)
}

// printAnswers prints what became of each feed; a feed that failed is an error.
func printAnswers(w io.Writer, answers []fetch.Answer, now time.Time) error {
	failed, without := 0, 0
	for _, a := range answers {
		fmt.Fprintf(w, "%s: %s, %d entries", show.Printable(a.Feed), a.Outcome, a.Entries)
		if a.Detail != "" {
			fmt.Fprintf(w, "; %s", show.Printable(a.Detail))
		}
		if a.Next.After(now) {
			fmt.Fprintf(w, "; next in %s", short(a.Next.Sub(now)))
		}
		fmt.Fprintln(w)
		if a.Outcome == source.Failed {
			failed++
			if a.Entries == 0 {
				without++
			}
		}
	}
	switch {
	case failed == 0:
		return nil
	case without == failed:
		return fmt.Errorf("%d of %d feeds failed, and nothing is known of them yet", failed, len(answers))
	case without > 0:
		return fmt.Errorf("%d of %d feeds failed; nothing is known of %d of them yet, the last good copies of the others stay in use", failed, len(answers), without)
	}
	return fmt.Errorf("%d of %d feeds failed; their last good copies stay in use", failed, len(answers))
}

// newIntelAccept makes the command that overrules a guard.
func newIntelAccept() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "accept [-c FILE] FEED|PREFIX",
		Short: "Take into use what is held back of a feed, or end the quarantine of an entry",
		Long: `accept overrules the guard that has held back the newest copy of a feed, because it is
empty, or much smaller or larger than the one before. With a prefix it ends the
quarantine of an entry that matched too large a share of all flows: its hits are no
longer rolled up, and for a day they are not again. 'flowsnitch intel status' names the
reasons.`,
		Example: "  flowsnitch intel accept blocklist-de\n  flowsnitch intel accept 192.0.2.53/32",
		Args:    arguments("the name of a feed or a prefix", 1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			if err := acceptFeed(c, &cfg, &from, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: accepted, and in use\n", args[0])
			return err
		},
	}
	locateFlag(c, &file)
	return c
}

func acceptFeed(c *cobra.Command, cfg *configs.Config, from *origin, name string) error {
	query := url.Values{"feed": {name}}.Encode()
	err := web.Request(c.Context(), cfg.StateDir, http.MethodPost, "/intel/accept?"+query, new(struct{}))
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	return withoutInstance(c, cfg, from, err, func(m *fetch.Manager) error { return m.Accept(name) })
}

// newIntelPresets makes the command that lists the known feeds.
func newIntelPresets() *cobra.Command {
	return &cobra.Command{
		Use:   "presets",
		Short: "List the feeds that a configuration can name as a preset",
		Long: `presets lists the known feeds: what they hold, where they are, how often they are
fetched and may be, on what terms, and whether they need a key. Those marked * are used
when the configuration names no feeds. In a configuration, each value can be overridden:

  intel:
    feeds: [{preset: feodo, score: 95}]`,
		Example: "  flowsnitch intel presets",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			printPresets(c.OutOrStdout(), spec.Presets())
			return nil
		},
	}
}

func printPresets(w io.Writer, presets []spec.Preset) {
	for _, p := range presets {
		mark := ""
		if p.BuiltIn {
			mark = " *"
		}
		fmt.Fprintf(w, "%s%s\n  %s\n", p.Name, mark, p.About)
		line := func(name, format string, args ...any) {
			fmt.Fprintf(w, "  %-9s "+format+"\n", append([]any{name}, args...)...)
		}
		if p.URL == "" {
			line("url", "your own")
		} else {
			line("url", "%s", p.URL)
		}
		line("format", "%s, every %s, at most every %s", p.Format, short(p.Interval), short(p.Floor))
		if p.Class != "" {
			line("class", "%s", p.Class)
		} else {
			line("score", "%d%s", p.Score, category(p.Category))
		}
		line("key", "%s", p.Key)
		line("licence", "%s", p.Licence)
		line("checked", "%s", p.Checked)
	}
}

func category(c string) string {
	if c == "" {
		return ""
	}
	return ", category " + c
}
