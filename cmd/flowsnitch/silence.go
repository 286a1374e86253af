package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newSilence groups the commands about what shall be quiet.
func newSilence() *cobra.Command {
	c := &cobra.Command{
		Use:   "silence",
		Short: "What shall be quiet until when: add, list, remove; allow a prefix for a time",
		Long: `A silence keeps events from the sinks until it ends: those of an offender, of a host of
yours, of a service, of a feed, alerts by their name, or any combination. The events are
made all the same: incidents and reports count them. Without a running instance the
commands change the file in the state directory.`,
		Example: "  flowsnitch silence add --offender 203.0.113.9 --for 7d --reason \"our pentest\"\n  flowsnitch silence list\n  flowsnitch silence remove k7xq2mfa",
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSilenceAdd(), newSilenceList(), newSilenceRemove(), newSilenceAllow(), newSilenceDisallow())
	return c
}

// endFlags are when something shall end, as the command line has it.
type endFlags struct{ span, until string }

func (e *endFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&e.span, "for", "", "`time` from now: 7d, 12h")
	c.Flags().StringVar(&e.until, "until", "", "the end: a `day`, which is the end of it in local time, or a time of RFC 3339")
}

// set puts the end into a request. A span stays one: the clock of the instance counts.
func (e *endFlags) set(v url.Values) error {
	switch {
	case e.span == "" && e.until == "":
		return usageError{errors.New("until when? give --for 7d, or --until 2026-12-31")}
	case e.span != "" && e.until != "":
		return usageError{errors.New("--for and --until: give only one of them")}
	case e.span != "":
		d, err := parseFor(e.span)
		if err != nil {
			return err
		}
		v.Set(silence.KeyFor, d.String())
		return nil
	}
	if _, ok := parseSpan(e.until); ok {
		return usageError{fmt.Errorf("--until: %q is a span; use --for %s", e.until, e.until)}
	}
	t, err := parseTime("--until", e.until, time.Now(), true)
	v.Set(silence.KeyUntil, t.Format(time.RFC3339))
	return err
}

// parseFor reads how long something shall last from now.
func parseFor(text string) (time.Duration, error) {
	if text != "" {
		if d, ok := parseSpan(text); ok && d > 0 {
			return d, nil
		}
	}
	return 0, usageError{fmt.Errorf("--for: %q is not a time such as 7d or 12h", text)}
}

// newSilenceAdd makes the command that adds a silence.
func newSilenceAdd() *cobra.Command {
	var file string
	var end endFlags
	words := make(map[string]*string)
	c := &cobra.Command{
		Use:   "add [--offender P] [--host P] [--site NAME] [--service tcp/22] [--feed NAME] [--rule NAME] --for 7d --reason TEXT [-c FILE]",
		Short: "Add a silence; all conditions that are given must fit",
		Long: `add adds a silence and prints its id. All conditions that are given must fit an event, and
at least one must narrow it. --feed fits when no other feed lists the offender, --rule is
the name of an alert or of a correlation rule, --service a protocol and the service port, or a protocol alone. A
scan of many hosts or ports fits neither --host nor a port. The author is who you are on
this machine.`,
		Example: `  flowsnitch silence add --offender 203.0.113.0/24 --for 7d --reason "our pentest, ticket 4711"
  flowsnitch silence add --host 10.0.0.5 --service tcp/22 --until 2026-12-31 --reason honeypot
  flowsnitch silence add --rule own_address_listed --for 2w --reason "delisting is under way"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			v := make(url.Values)
			for key, value := range words {
				if *value != "" {
					v.Set(key, *value)
				}
			}
			if err := end.set(v); err != nil {
				return err
			}
			if _, err := silence.Parse(v, time.Now()); err != nil {
				return usageError{err}
			}
			var s silence.Silence
			err := changeSilences(c, true, file, http.MethodPost, app.SilencesPath+"?"+v.Encode(), &s, func(b *silence.Book, author string) (err error) {
				s, err = app.AddSilence(c.Context(), b, v, author)
				return err
			})
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "silence %s until %s: %s\n", s.ID, show.Date(s.Until), show.Printable(s.Conditions.String()))
				remarkFeed(c, file, s.Feed)
			}
			return err
		},
	}
	for _, f := range []struct{ key, help string }{
		{silence.KeyOffender, "listed `address or prefix`"}, {silence.KeyHost, "`address or prefix` of yours"}, {silence.KeySite, "`name` of the site of the host"},
		{silence.KeyService, "`service`: protocol/port such as tcp/22, or a protocol"}, {silence.KeyFeed, "`name` of the only feed that lists the offender"},
		{silence.KeyRule, "`name` of an alert, such as own_address_listed, or of a correlation rule, such as swarm"}, {silence.KeyReason, "why, `text` for whoever reads it when you are not there (required)"},
	} {
		words[f.key] = c.Flags().String(f.key, "", f.help)
	}
	end.flags(c)
	locateFlag(c, &file)
	return c
}

// remarkFeed remarks that the running instance has no feed of that name, as after a typing error.
func remarkFeed(c *cobra.Command, file, feed string) {
	cfg, _, err := locate(c, file)
	if err != nil || feed == "" {
		return
	}
	s, err := askStatus(c.Context(), cfg.StateDir)
	if err != nil {
		return
	}
	var names []string
	for i := range s.Intel.Feeds {
		names = append(names, s.Intel.Feeds[i].Name)
	}
	names = slices.AppendSeq(names, maps.Keys(s.Intel.HitsDay)) // of other sources than feeds
	if !slices.Contains(names, feed) {
		fmt.Fprintf(c.ErrOrStderr(), "no feed is called %s, and none of that name had a hit today: is that its name in 'flowsnitch intel status'?\n", show.Printable(feed))
	}
}

// newSilenceRemove makes the command that ends silences.
func newSilenceRemove() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "remove [-c FILE] ID...",
		Short:   "End silences before their time",
		Long:    "remove ends silences, by their ids in 'flowsnitch silence list'. From then on events reach\nthe sinks again; what was silenced is not sent afterwards.",
		Example: "  flowsnitch silence remove k7xq2mfa",
		Args:    arguments("an id", anyNumber),
		RunE: func(c *cobra.Command, ids []string) error {
			var errs []error
			for i, id := range ids {
				var s silence.Silence
				err := changeSilences(c, i == 0, file, http.MethodDelete, app.SilencesPath+"/"+url.PathEscape(id), &s, func(b *silence.Book, author string) (err error) {
					s, err = b.Remove(c.Context(), id, author)
					return err
				})
				if err != nil && (stops(err) || len(ids) == 1) {
					return err
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "silence %s has ended; it silenced %s: %s\n", s.ID, count(s.Events, "event", "events"), show.Printable(s.Conditions.String()))
			}
			return errors.Join(errs...)
		},
	}
	locateFlag(c, &file)
	return c
}

// newSilenceAllow makes the command that allows a prefix for a time.
func newSilenceAllow() *cobra.Command {
	var file, reason string
	var end endFlags
	c := &cobra.Command{
		Use:   "allow --for 30d --reason TEXT [-c FILE] ADDR|PREFIX",
		Short: "Let no feed list a prefix, until a date",
		Long: `allow adds an entry beside intel.allow that ends by itself: no feed may list the prefix
until then, so there are no events of it at all, and nothing is counted. Your own lists
(intel.deny, --intel) still count.`,
		Example: "  flowsnitch silence allow 198.51.100.7 --for 30d --reason \"our provider's resolver\"",
		Args:    arguments("one address or prefix", 1),
		RunE: func(c *cobra.Command, args []string) error {
			v := url.Values{"prefix": {args[0]}, silence.KeyReason: {reason}}
			if _, err := parsePrefix(args[0]); err != nil {
				return usageError{err}
			}
			if err := end.set(v); err != nil {
				return err
			}
			var a silence.Allowed
			err := changeSilences(c, true, file, http.MethodPost, app.AllowedPath+"?"+v.Encode(), &a, func(b *silence.Book, author string) (err error) {
				a, err = app.AddAllowed(c.Context(), b, v, author)
				return err
			})
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s is allowed until %s\n", nameOf(a.Prefix), show.Date(a.Until))
			}
			return err
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, `text` for whoever reads it when you are not there (required)")
	end.flags(c)
	locateFlag(c, &file)
	return c
}

// newSilenceDisallow makes the command that ends what allow has added.
func newSilenceDisallow() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "disallow [-c FILE] ADDR|PREFIX",
		Short:   "End what 'silence allow' or a false alarm has allowed for a time",
		Long:    "disallow ends an entry before its time: feeds may list the prefix again. What is in\nintel.allow is changed in the configuration.",
		Example: "  flowsnitch silence disallow 198.51.100.7",
		Args:    arguments("one address or prefix", 1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := parsePrefix(args[0])
			if err != nil {
				return usageError{err}
			}
			v := url.Values{"prefix": {p.String()}}
			err = changeSilences(c, true, file, http.MethodDelete, app.AllowedPath+"?"+v.Encode(), new(silence.Allowed), func(b *silence.Book, _ string) error {
				_, err := b.Disallow(c.Context(), p)
				return err
			})
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s is no longer allowed for a time\n", nameOf(p))
			}
			return err
		},
	}
	locateFlag(c, &file)
	return c
}

// changeSilences has the running instance change its silences, or, where none is running,
// changes the file, under the lock of the state directory. announced has standard error state
// that.
func changeSilences(c *cobra.Command, announced bool, file, method, path string, answer any, direct func(b *silence.Book, author string) error) error {
	cfg, from, err := locate(c, file)
	if err != nil {
		return err
	}
	err = web.Request(c.Context(), cfg.StateDir, method, path, answer)
	if bad := web.BadRequestError(""); errors.As(err, &bad) {
		return usageError{err}
	}
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	if from.locked != nil {
		return from.absent(err, "-c")
	}
	release, err := web.LockStateDir(cfg.StateDir)
	if err != nil {
		return err
	}
	b, err := app.OpenSilences(&cfg)
	if err == nil {
		if announced {
			fmt.Fprintf(c.ErrOrStderr(), "no instance is running; the file in %s is changed\n", cfg.StateDir)
		}
		err = direct(b, web.OurName())
		if err != nil && !errors.Is(err, silence.ErrUnknown) && !errors.Is(err, silence.ErrThere) && !errors.Is(err, silence.ErrDisk) {
			err = usageError{err}
		}
	}
	return errors.Join(err, app.HandOver(cfg.StateDir, silence.FileName), release())
}

// newSilenceList makes the command that shows what is quiet.
func newSilenceList() *cobra.Command {
	var file string
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "list [--all] [--json] [-c FILE]",
		Short: "Show the silences in force, and what is allowed for a time",
		Long: `list shows the silences in force: until when, how many events they have silenced, of them
how many of high and critical severity, what they are about, who made them and why. Below
are the prefixes that are allowed for a time. With --all it shows the last silences that
have ended as well.`,
		Example: "  flowsnitch silence list\n  flowsnitch silence list --all --json | jq .silences[].reason",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			list, err := readSilences(c, &cfg, &from, all)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			printSilences(c.OutOrStdout(), &list, all, time.Now())
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also the last silences that have ended")
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	locateFlag(c, &file)
	return c
}

// A silenceList is what is quiet, in JSON.
type silenceList struct {
	Silences []silence.Silence `json:"silences"`
	Allowed  []silence.Allowed `json:"allowed"`
}

// readSilences asks the running instance, or reads the file.
func readSilences(c *cobra.Command, cfg *configs.Config, from *origin, all bool) (list silenceList, err error) {
	answered, err := from.ask(c, cfg.StateDir, stateHas, func() error {
		path := app.SilencesPath
		if all {
			path += "?all=true"
		}
		if err := web.Ask(c.Context(), cfg.StateDir, path, &list.Silences); err != nil {
			return err
		}
		return web.Ask(c.Context(), cfg.StateDir, app.AllowedPath, &list.Allowed)
	})
	if answered {
		return list, err
	}
	b, err := app.ReadSilences(cfg)
	return silenceList{b.List(all), append([]silence.Allowed{}, b.AllowList()...)}, err
}

// printSilences prints each silence in a few lines: what it does, and who made it why.
func printSilences(w io.Writer, list *silenceList, all bool, now time.Time) {
	const behind = "          " // the id
	if len(list.Silences) == 0 {
		fmt.Fprintln(w, "nothing is silenced")
	}
	for i := range list.Silences {
		s := &list.Silences[i]
		end := "until " + show.Date(s.Until)
		switch {
		case !s.Removed.IsZero():
			end = fmt.Sprintf("removed %s by %s", show.Date(s.Removed), show.Printable(s.RemovedBy))
		case all && !s.InForce(now):
			end = "ended " + show.Date(s.Until)
		}
		paragraph(w, s.ID+"  ", fmt.Sprintf("%s  %s", end, show.Printable(s.Conditions.String())))
		paragraph(w, behind, fmt.Sprintf("by %s: %s", show.Printable(s.Author), show.Printable(s.Reason)))
		paragraph(w, behind, silencedEvents(s))
	}
	if len(list.Allowed) > 0 {
		fmt.Fprintln(w, "\nallowed for a time")
	}
	for i := range list.Allowed {
		a := &list.Allowed[i]
		fmt.Fprintf(w, "%s  until %s\n", nameOf(a.Prefix), show.Date(a.Until))
		paragraph(w, behind, fmt.Sprintf("by %s: %s", show.Printable(a.Author), show.Printable(a.Reason)))
	}
}

// silencedEvents is how many events a silence has kept away, and how severe they were.
func silencedEvents(s *silence.Silence) string {
	if s.Events == 0 {
		return "no event silenced yet"
	}
	return fmt.Sprintf("%s silenced%s, the last %s", count(s.Events, "event", "events"),
		show.Some(show.Count(s.BySeverity[3], "critical"), show.Count(s.BySeverity[2], "high")), show.Date(s.Last))
}

// printSilenced prints which silences an address has, and who has allowed it.
func printSilenced(w io.Writer, name string, q *app.Quiet) {
	for i := range q.Allowed {
		fmt.Fprintf(w, "%s: %s\n", name, allowedText(&q.Allowed[i]))
	}
	for i := range q.Silences {
		fmt.Fprintf(w, "%s: %s\n", name, silenceText(&q.Silences[i]))
	}
}

// allowedText is who has allowed a prefix, until when and why.
func allowedText(a *silence.Allowed) string {
	return fmt.Sprintf("no feed may list %s until %s, by %s: %s", nameOf(a.Prefix), show.Date(a.Until), show.Printable(a.Author), show.Printable(a.Reason))
}

func disallowCommand(a *silence.Allowed) string {
	return "flowsnitch silence disallow " + nameOf(a.Prefix)
}

// silenceText is what a silence in force is about, who has made it, until when and why.
func silenceText(s *silence.Silence) string {
	return fmt.Sprintf("silence %s (%s) until %s, by %s: %s", s.ID, show.Printable(s.Conditions.String()), show.Date(s.Until), show.Printable(s.Author), show.Printable(s.Reason))
}
