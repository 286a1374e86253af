package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	exportnames "github.com/flowsnitch/flowsnitch/sinks/export/names"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newExport makes the command that prints block lists.
func newExport() *cobra.Command {
	var file string
	var lists []string
	var set bool
	values := url.Values{} // filters of incidents
	o := choice.Default()
	c := &cobra.Command{
		Use:   "export TARGET [--set] [-c FILE] [--intel FILE]... [FILTER]...",
		Short: "Print a block list of offenders, or of all that is listed, for another program",
		Long: `export prints offenders that were in contact with you, or with --set all that is listed, in
the language of another program:

` + targetList() + `
Offenders are those of 'flowsnitch incidents', of severity medium or worse and seen in the
last 7 days unless filters say otherwise; false alarms and what is silenced are left out.

The set is that of the running instance; without one, or with --intel, export reads the
lists itself, and for feeds the last good copies in the state directory, as 'flowsnitch
lookup' does.

Your home networks, what you allow, special-purpose addresses (documentation addresses
are among them), root name servers, public resolvers and what a warninglist has as
infrastructure are in no list, whoever lists them. Neither are listings that have expired,
nor those labelled TLP amber or red, unless --max-tlp allows it. Listings with a port are
only in lists that can express one: nftables, stix.

rpz and postfix-access are lists of the domain and host names of the same feeds. Names in
intel.allow_names and below them are in no list, nor are public suffixes such as co.uk. A
name below another one is left out, as it goes with that.

Overlapping prefixes are merged, and the order is that of the addresses. What was left out
is reported on standard error. An empty set is an error, and prints nothing.`,
		Example: exportExamples(),
		Args:    arguments("a target: "+strings.Join(target.Names(), ", "), 1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case set && len(values) > 0:
				return wrongUse(c, "--%s is a filter of offenders, which --set has not", slices.Sorted(maps.Keys(values))[0])
			case !set && len(lists) > 0:
				return wrongUse(c, "--intel is for lists of all that is listed: add --set")
			}
			if _, err := incident.ParseFilter(values); err != nil {
				return usageError{fmt.Errorf("--%w", err)}
			}
			if err := o.Validate(); err != nil {
				return usageError{fmt.Errorf("--%w", err)}
			}
			to := target.Find(args[0])
			if to == nil {
				return wrongUse(c, "there is no target %q; use %s", args[0], strings.Join(target.Names(), ", "))
			}
			cfg, from, err := loadListed(c, file, lists)
			if err != nil {
				return err
			}
			if !set && to.TakesNames() {
				return wrongUse(c, "%s is a list of names, which feeds have: add --set", to.Name)
			}
			return exportList(c, &cfg, &from, lists, to, &wish{set, o, values})
		},
	}
	locateFlag(c, &file)
	intelFlag(c, &lists)
	f := c.Flags()
	f.BoolVar(&set, "set", false, "all that is listed, and not only offenders that were seen here")
	for _, field := range incident.Fields() {
		if field.Name != "feed" && field.Name != "category" {
			f.Var(&filterFlag{values, field.Name, field.Many}, field.Name, fmt.Sprintf("offenders: %s, such as `%s`", field.Help, field.Example))
		}
	}
	f.StringArrayVar(&o.Feeds, "feed", nil, "listings of the feed with this `name` only (repeatable)")
	f.StringArrayVar(&o.Categories, "category", nil, "listings of this category only, such as c2 (repeatable)")
	f.IntVar(&o.MinScore, "min-score", 0, "listings with at least this `score` only, 0 to 100")
	f.IntVar(&o.Family, "family", 0, "IPv4 or IPv6 only: `4` or 6")
	f.IntVar(&o.Max, "max", o.Max, "most `prefixes` in the list, 1 to 5000000; those with the best scores stay")
	f.StringVar(&o.MaxTLP, "max-tlp", o.MaxTLP, "most restricted `label` of the Traffic Light Protocol in the list: "+strings.Join(choice.TLPs, ", "))
	f.BoolVar(&o.URLs, "urls", false, "hosts of listed URLs too, in lists of names: one URL of a host lists all of it")
	f.StringVar(&o.Name, "name", o.Name, "`name` of the table, sets, lists or protocols in the list: a letter and up to 19 letters, digits and _")
	f.BoolVar(&o.NoTime, "no-time", false, "leave out the date, timeouts and serial numbers, so that the same set gives the same list")
	return c
}

// targetList is the table of targets for the help.
func targetList() string {
	var b strings.Builder
	for _, t := range target.All {
		fmt.Fprintf(&b, "  %-14s %s\n", t.Name, t.Help)
	}
	return b.String()
}

func exportExamples() string {
	var b strings.Builder
	for _, t := range target.All {
		fmt.Fprintf(&b, "  %s\n", t.Example)
	}
	b.WriteString("  flowsnitch export text --set --category c2 --min-score 80 --family 4")
	return b.String()
}

// A wish is what a list is of.
type wish struct {
	set     bool
	options choice.Options
	seen    url.Values // filters of incidents
}

// exportList prints the list of the running instance, or one that is made for it.
func exportList(c *cobra.Command, cfg *configs.Config, from *origin, lists []string, to *target.Target, o *wish) error {
	if len(lists) == 0 {
		files := listsHold
		if !o.set {
			files = stateHas
		}
		answered, err := from.ask(c, cfg.StateDir, files, func() error { return exportFromInstance(c, cfg, to, o) })
		if answered {
			return err
		}
	}
	list, err := exportOffline(c, cfg, lists, to, o)
	if err != nil {
		return err
	}
	if err := list.Write(c.OutOrStdout()); err != nil {
		return err
	}
	reportExport(c.ErrOrStderr(), &list.Exported)
	return nil
}

// exportOffline makes a list of what the state directory and local files have.
func exportOffline(c *cobra.Command, cfg *configs.Config, lists []string, to *target.Target, o *wish) (*app.Listing, error) {
	if o.set {
		list, feeds, err := app.ExportOffline(c.Context(), cfg, lists, to, o.options, time.Now())
		complain(c, feeds)
		return list, err
	}
	t, _, err := buildTable(c, cfg, nil) // has what must never be blocked
	if err != nil {
		return nil, err
	}
	return app.ExportSeenOffline(c.Context(), cfg, t, o.seen, to, o.options, time.Now())
}

// exportFromInstance prints what the running instance gives, once it is there as a whole.
func exportFromInstance(c *cobra.Command, cfg *configs.Config, to *target.Target, o *wish) error {
	q := o.options.Query()
	q.Set("target", to.Name)
	if o.set {
		q.Set("set", "1")
	}
	maps.Copy(q, o.seen)
	answer, err := web.Stream(c.Context(), cfg.StateDir, http.MethodGet, app.ExportPath+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	b, err := io.ReadAll(answer)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.StateDir, err)
	}
	first, list, _ := bytes.Cut(b, []byte("\n"))
	var exported app.Exported
	if err := json.Unmarshal(first, &exported); err != nil {
		return fmt.Errorf("%s: not the answer of a flowsnitch: %w", cfg.StateDir, err)
	}
	if _, err := c.OutOrStdout().Write(list); err != nil {
		return err
	}
	reportExport(c.ErrOrStderr(), &exported)
	return nil
}

// reportExport prints what has become of the set.
func reportExport(w io.Writer, a *app.Exported) {
	defer func() {
		if len(a.Missing) > 0 {
			fmt.Fprintf(w, "there is no complete copy yet of %s, see 'flowsnitch intel status'\n", show.Printable(strings.Join(a.Missing, ", ")))
		}
	}()
	if a.Names != nil {
		reportNames(w, a.Names)
		return
	}
	r := &a.Report
	of := count(r.Listings, "listing", "listings")
	if a.Seen {
		of = count(r.Listings, "offender", "offenders")
	}
	fmt.Fprintf(w, "%s of %s", count(r.Rows, "prefix", "prefixes"), of)
	left := show.Some(show.Count(uint64(r.Filtered), "by the filter"), show.Count(uint64(r.Expired), "expired"),
		show.Count(uint64(r.TLP), "not to be shared (--max-tlp)"), show.Count(uint64(r.Port), "with a port"))
	if left != "" {
		fmt.Fprintf(w, "; left out: %s", strings.TrimPrefix(left, ", "))
	}
	if r.Guarded > 0 {
		fmt.Fprintf(w, "; %s into addresses that must never be blocked", count(r.Guarded, "reaches", "reach"))
	}
	fmt.Fprintln(w)
	if r.Cut > 0 {
		fmt.Fprintf(w, "cut to the best scores, down to %d: %s (--max)\n", r.Lowest, count(r.Cut, "more prefix is left out", "more prefixes are left out"))
	}
}

// reportNames prints what has become of the names.
func reportNames(w io.Writer, r *exportnames.Report) {
	fmt.Fprintf(w, "%s of %s", count(r.Rows, "name", "names"), count(r.Listings, "listing", "listings"))
	left := show.Some(show.Count(uint64(r.Filtered), "by the filter"), show.Count(uint64(r.Expired), "expired, offline or below the least score of their feed"),
		show.Count(uint64(r.TLP), "not to be shared (--max-tlp)"), show.Count(uint64(r.URLs), "hosts of URLs (--urls)"), show.Count(uint64(r.Allowed), "allowed"),
		show.Count(uint64(r.Refused), "public suffixes, critical, local or malformed names"), show.Count(uint64(r.Below), "below another one"))
	if left != "" {
		fmt.Fprintf(w, "; left out: %s", strings.TrimPrefix(left, ", "))
	}
	fmt.Fprintln(w)
	if r.Cut > 0 {
		fmt.Fprintf(w, "cut to the best scores, down to %d: %d more names are left out (--max)\n", r.Lowest, r.Cut)
	}
}
