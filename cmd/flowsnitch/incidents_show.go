package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/story"
	"github.com/spf13/cobra"
)

// What 'incidents show' has of each list at most; --json has all.
const (
	shownHosts    = 15
	shownServices = 8
	shownFeeds    = 10
	shownEntries  = 15 // of notes, and of the audit, the latest
	shownDays     = 60
	storyColumns  = 80
)

// newIncidentsShow makes the command that shows one incident, or a host of ours, whole.
func newIncidentsShow() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show [-c FILE] [--json] ADDR",
		Short: "Show an incident as a story: which host, since when, how bad, what to do",
		Long: `show has everything that is known of one offender, in sentences first: which of your hosts
is in contact with it, since when, whether it is worse than yesterday, why it is listed, who
has looked at it, and what to do. Below come the days, hosts, services, feeds, the last
contacts of the history ('flowsnitch hunt' has all), lines for your firewall, notes, and who
did what. Of an address of yours it shows the incidents of that host.

Exit codes: 0 done, 1 failed or nothing is known of the address, 2 wrong use.`,
		Example: `  flowsnitch incidents show 203.0.113.9
  flowsnitch incidents show 10.1.2.77
  flowsnitch incidents show --json 203.0.113.9 | jq .story`,
		Args: arguments("an address", 1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := oneAddress(c, args[0])
			if err != nil {
				return err
			}
			return atDesk(c, file, true, func(d desk, cfg *configs.Config) error { return showIncident(c, d, cfg, a, asJSON) })
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// oneAddress reads an address; a prefix has no incident of its own.
func oneAddress(c *cobra.Command, s string) (netip.Addr, error) {
	p, err := parsePrefix(s)
	if err != nil {
		return netip.Addr{}, usageError{err}
	}
	if !p.IsSingleIP() {
		list := c.Parent().CommandPath()
		return netip.Addr{}, wrongUse(c, "%s is a prefix, and an incident is of one address; '%s --offender %s' lists those of offenders in it, '%s --by host --host %s' your hosts in it", p, list, p, list, p)
	}
	return p.Addr(), nil
}

// A shownIncident is everything that 'incidents show' has of an offender, in JSON.
type shownIncident struct {
	Incident *incident.Incident `json:"incident"`
	Story    []string           `json:"story"`
	Advice   []string           `json:"advice"`
	Firewall []story.Line       `json:"firewall,omitempty"`
	Alerts   []incident.Alert   `json:"alerts,omitempty"`
	History  *lookupHistory     `json:"history,omitempty"` // absent where there is none
	app.Quiet
	QuietError string `json:"silences_error,omitempty"` // why silences cannot be shown
}

// A shownHost is a host of ours, in JSON.
type shownHost struct {
	app.HostIncidents
	Story  []string         `json:"story"`
	Alerts []incident.Alert `json:"alerts,omitempty"`
	app.Quiet
}

// shownAlerts is an address of which there is no incident, in JSON.
type shownAlerts struct {
	Address netip.Addr       `json:"address"`
	Alerts  []incident.Alert `json:"alerts"`
}

// showIncident shows what is known of an address, which may be that of an offender, of a host
// of ours, or both.
func showIncident(c *cobra.Command, d desk, cfg *configs.Config, a netip.Addr, asJSON bool) error {
	i, err := d.Get(c.Context(), a)
	if err != nil && !errors.Is(err, errNoIncident) {
		return err
	}
	hosts, hostErr := d.Host(c.Context(), a)
	if hostErr != nil && !errors.Is(hostErr, errNoIncident) {
		return hostErr
	}
	alerts, alertErr := d.AlertsAbout(c.Context(), a)
	if alertErr != nil {
		return alertErr
	}
	now := time.Now()
	if err != nil && hostErr != nil {
		if len(alerts) == 0 {
			return nothingKnown(cfg, a)
		}
		s := &shownAlerts{a, alerts}
		return printShown(c.OutOrStdout(), asJSON, s, func(w io.Writer) {
			fmt.Fprintf(w, "%s | no incident of it\n", a)
			printAlerts(w, s.Alerts, now)
		})
	}
	quiet, quietErr := d.Quiet(c.Context(), a)
	if err == nil {
		s := &shownIncident{Incident: i, Story: story.Of(i, now), Advice: story.Advice(i), Alerts: alerts, Quiet: quiet}
		if quietErr != nil {
			s.QuietError = quietErr.Error()
		}
		if len(quiet.Allowed) == 0 {
			s.Firewall = firewall(cfg, a)
		}
		s.History = contactsOf(c.Context(), cfg, []netip.Prefix{netip.PrefixFrom(a, a.BitLen())})[0]
		if err := printShown(c.OutOrStdout(), asJSON, s, func(w io.Writer) { printIncident(w, s, now) }); err != nil {
			return err
		}
	}
	for k := range hosts {
		s := &shownHost{hosts[k], story.OfHost(hosts[k].Host, hosts[k].Incidents, now), alerts, quiet}
		if err := printShown(c.OutOrStdout(), asJSON, s, func(w io.Writer) { printHost(w, s, now) }); err != nil {
			return err
		}
	}
	return nil
}

// nothingKnown explains why there is nothing to be shown.
func nothingKnown(cfg *configs.Config, a netip.Addr) error {
	if slices.ContainsFunc(cfg.AllHome(), func(p netip.Prefix) bool { return p.Contains(a) }) {
		return fmt.Errorf("%s is in your home networks and has not been in contact with a listed address, as far as is kept; 'flowsnitch hunt --host %s' shows all its contacts", a, a)
	}
	return fmt.Errorf("there is no incident of %s: it was not listed while it was in contact with your hosts, as far as is kept; 'flowsnitch lookup %s' shows which lists have it, 'flowsnitch hunt %s' every contact", a, a, a)
}

// firewall gives lines that block an address, unless it is ours or allowed.
func firewall(cfg *configs.Config, a netip.Addr) []story.Line {
	if slices.ContainsFunc(slices.Concat(cfg.AllHome(), cfg.Intel.Allow), func(p netip.Prefix) bool { return p.Contains(a) }) {
		return nil
	}
	return story.Block(a)
}

func printShown(w io.Writer, asJSON bool, v any, text func(io.Writer)) error {
	if !asJSON {
		text(w)
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// storyWidth is how wide a story is: no wider than is good to read, nor than the terminal.
func storyWidth(w io.Writer) int { return min(storyColumns, max(widthOf(w), 40)) }

// paragraph prints a sentence within the columns, each line behind an indentation.
func paragraph(w io.Writer, first, text string) {
	for _, part := range show.WrapLine(first+text, storyWidth(w), len(first)) {
		fmt.Fprintln(w, part)
	}
}

// printIncident prints an incident for people.
func printIncident(w io.Writer, s *shownIncident, now time.Time) {
	i := s.Incident
	fmt.Fprintln(w, headline(i))
	for _, text := range s.Story {
		paragraph(w, "", text)
	}
	printQuiet(w, &s.Quiet, s.QuietError)
	fmt.Fprintln(w, "\nWhat to do")
	for n, text := range s.Advice {
		paragraph(w, fmt.Sprintf("  %d. ", n+1), text)
	}
	for _, text := range triage(i, &s.Quiet) {
		fmt.Fprintf(w, "  $ %s\n", text)
	}
	printAlerts(w, s.Alerts, now)
	printDays(w, i, now)
	printShares(w, i, now)
	printServices(w, i)
	printListings(w, i)
	if s.History != nil {
		fmt.Fprintln(w, "\nHistory")
		s.History.print(show.Wrapped(w, storyWidth(w)), i.Offender.String())
	}
	if len(s.Firewall) > 0 {
		fmt.Fprintln(w, "\nTo block it (pf and mikrotik: where a rule blocks their table)")
		for _, l := range s.Firewall {
			fmt.Fprintf(w, "  %s\n", l.Text)
		}
	}
	printNotes(w, i, now)
}

// headline is the first line: the address, how bad, its state and its network.
func headline(i *incident.Incident) string {
	parts := []string{i.Offender.String(), i.Worst.String(), strings.ReplaceAll(i.State.String(), "_", " ")}
	net := i.Country
	if i.ASNumber > 0 {
		net = strings.TrimSpace(fmt.Sprintf("%s AS%d %s", net, i.ASNumber, show.Plain(i.ASName, 30)))
	}
	if net != "" {
		parts = append(parts, show.Plain(net, 60))
	}
	return strings.Join(parts, " | ")
}

// triage are the commands that fit the state, and end what keeps events away.
func triage(i *incident.Incident, q *app.Quiet) (list []string) {
	a := i.Offender
	switch i.State {
	case incident.Closed, incident.FalseAlarm:
		list = append(list, fmt.Sprintf("flowsnitch incidents reopen %s", a))
	case incident.Taken:
		list = append(list, fmt.Sprintf("flowsnitch incidents note %s TEXT", a), fmt.Sprintf("flowsnitch incidents close %s", a))
	default:
		list = append(list, fmt.Sprintf("flowsnitch incidents take %s", a), fmt.Sprintf("flowsnitch incidents false-alarm %s --allow --for 30d --note WHY", a))
		if len(q.Silences) == 0 && len(q.Allowed) == 0 {
			list = append(list, fmt.Sprintf("flowsnitch silence add --offender %s --for 7d --reason WHY", a))
		}
	}
	for k := range q.Silences {
		list = append(list, "flowsnitch silence remove "+q.Silences[k].ID)
	}
	for k := range q.Allowed {
		list = append(list, disallowCommand(&q.Allowed[k]))
	}
	return list
}

// printQuiet prints what keeps events of an address away, or that this cannot be shown.
func printQuiet(w io.Writer, q *app.Quiet, trouble string) {
	capital := func(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
	for k := range q.Silences {
		paragraph(w, "", capital(silenceText(&q.Silences[k]))+".")
	}
	for k := range q.Allowed {
		paragraph(w, "", capital(allowedText(&q.Allowed[k]))+".")
	}
	if trouble != "" {
		paragraph(w, "", "Whether it is silenced cannot be shown: "+show.Printable(trouble))
	}
}

// printDays prints a line with a sign for each of the last days.
func printDays(w io.Writer, i *incident.Incident, now time.Time) {
	today := incident.DayOf(now)
	days := min(shownDays, max(14, int(today-incident.DayOf(i.First))+1))
	fmt.Fprintf(w, "\nDays (flows of the last %d days until today, UTC; _ is none)\n  %s\n", days, dayLine(i.Daily, today, days, unicodeTerminal()))
}

// unicodeTerminal reports whether texts are in UTF-8 here.
func unicodeTerminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(os.Getenv(name)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

func printShares(w io.Writer, i *incident.Incident, now time.Time) {
	if len(i.HostList) == 0 {
		return
	}
	fmt.Fprintln(w, "\nHosts of yours")
	printIndented(w, hostShares(i.HostList[:min(len(i.HostList), shownHosts)], now))
	if more := i.Hosts - shownHosts; more > 0 {
		fmt.Fprintf(w, "  and %s%d more: flowsnitch incidents --by host --offender %s\n", map[bool]string{true: "more than "}[i.MoreHosts], more, i.Offender)
	}
}

func printIndented(w io.Writer, t table) {
	var b strings.Builder
	layTable(&b, t, storyWidth(w)-2, showsColours(w))
	for line := range strings.Lines(b.String()) {
		fmt.Fprint(w, "  ", line)
	}
}

func printServices(w io.Writer, i *incident.Incident) {
	if len(i.Services) == 0 {
		return
	}
	fmt.Fprintln(w, "\nServices")
	for _, s := range i.Services[:min(len(i.Services), shownServices)] {
		fmt.Fprintf(w, "  %-12s %s\n", story.Service(s.Protocol, s.Port), count(s.Flows, "flow", "flows"))
	}
	if more := max(i.Ports, len(i.Services)) - shownServices; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

func printListings(w io.Writer, i *incident.Incident) {
	if len(i.Listings) == 0 {
		return
	}
	fmt.Fprintln(w, "\nListed by")
	for _, l := range i.Listings[:min(len(i.Listings), shownFeeds)] {
		text := fmt.Sprintf("%s as %s, score %d", show.Plain(l.Feed, 60), nameOf(l.Indicator), l.Score)
		for _, part := range []string{l.Category, tlpText(l.TLP), l.Description} {
			if part != "" {
				text += ", " + show.Plain(part, 200)
			}
		}
		paragraph(w, "  ", text)
		if l.Ref != "" {
			paragraph(w, "    ", show.Plain(l.Ref, 300))
		}
	}
	if more := len(i.Listings) - shownFeeds; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

func tlpText(tlp string) string {
	if tlp == "" {
		return ""
	}
	return "TLP " + tlp
}

// printNotes prints notes, and who did what.
func printNotes(w io.Writer, i *incident.Incident, now time.Time) {
	if len(i.Notes) > 0 {
		fmt.Fprintln(w, "\nNotes")
	}
	for _, n := range latest(i.Notes) {
		paragraph(w, "  ", fmt.Sprintf("%s, %s: %s", story.At(n.Time, now), show.Plain(n.Author, 60), show.Plain(n.Text, 4096)))
	}
	if len(i.Audit) > 0 {
		fmt.Fprintln(w, "\nWho did what")
	}
	for _, e := range latest(i.Audit) {
		text := fmt.Sprintf("%s, %s: %s", story.At(e.Time, now), show.Plain(e.Author, 60), show.Plain(e.Act, 60))
		if e.Detail != "" && e.Act != string(incident.ActNote) {
			text += " (" + show.Plain(e.Detail, 300) + ")"
		}
		paragraph(w, "  ", text)
	}
}

// shownAlertCount is how many alerts are shown; --json has more.
const shownAlertCount = 5

// printAlerts prints alerts, and what a rule has found.
func printAlerts(w io.Writer, list []incident.Alert, now time.Time) {
	if len(list) > 0 {
		fmt.Fprintln(w, "\nAlerts")
	}
	for k := range list[:min(len(list), shownAlertCount)] {
		a := &list[k]
		paragraph(w, "  ", fmt.Sprintf("%s, %s, %s: %s", story.At(a.Time, now), a.Severity, show.Plain(a.Name, 60), show.Plain(a.Reason, 300)))
		if a.Evidence == nil {
			continue
		}
		text := fmt.Sprintf("count %d, threshold %d", a.Evidence.Count, a.Evidence.Threshold)
		if a.Evidence.Usual > 0 {
			text += fmt.Sprintf(", usual %d", a.Evidence.Usual)
		}
		var sources []string
		for _, s := range a.Evidence.Sources {
			sources = append(sources, fmt.Sprintf("%s (%d)", show.Plain(s.Value, 60), s.Count))
		}
		if len(sources) > 0 {
			text += "; most active: " + strings.Join(sources, ", ")
		}
		paragraph(w, "    ", text)
		for _, l := range a.Evidence.Stop {
			fmt.Fprintf(w, "    %s\n", show.Plain(l, 256))
		}
	}
	if more := len(list) - shownAlertCount; more > 0 {
		fmt.Fprintf(w, "  and %d more: --json\n", more)
	}
}

func latest[T any](list []T) []T { return list[max(0, len(list)-shownEntries):] }

// printHost prints a host of ours for people.
func printHost(w io.Writer, s *shownHost, now time.Time) {
	h := s.Host
	fmt.Fprintf(w, "%s | %s | host of yours\n", story.HostName(h.Host), h.Worst)
	for _, text := range s.Story {
		paragraph(w, "", text)
	}
	printQuiet(w, &s.Quiet, "")
	printAlerts(w, s.Alerts, now)
	if len(s.Incidents) > 0 {
		fmt.Fprintln(w, "\nIncidents")
		printIndented(w, incidentTable(s.Incidents, now))
		fmt.Fprintf(w, "\nThe worst\n  $ flowsnitch incidents show %s\n", s.Incidents[0].Offender)
	}
}

// lookupIncidentTime bounds what lookup asks about incidents.
const lookupIncidentTime = 3 * time.Second

// A lookupIncident is what lookup has of the incident of an address: neither, where there is
// none.
type lookupIncident struct {
	*incident.Incident
	trouble string // why it is not known
}

// incidentsOf gives the incident of each address for lookup. It asks the running instance, or
// reads the database where none is running.
func incidentsOf(ctx context.Context, cfg *configs.Config, asked []netip.Prefix) []lookupIncident {
	list := make([]lookupIncident, len(asked))
	ctx, cancel := context.WithTimeout(ctx, lookupIncidentTime)
	defer cancel()
	d, end, err := deskBeside(ctx, cfg)
	defer end()
	if d == nil && err == nil {
		return list
	}
	for k, p := range asked {
		if !p.IsSingleIP() {
			continue
		}
		i, failed := (*incident.Incident)(nil), err
		if failed == nil {
			i, failed = d.Get(ctx, p.Addr())
		}
		switch {
		case failed == nil:
			list[k].Incident = i
		case errors.Is(failed, errNoIncident):
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			list[k].trouble = fmt.Sprintf("the database of incidents did not answer within %s; ask 'flowsnitch incidents show %s'", lookupIncidentTime, p.Addr())
		default:
			list[k].trouble = failed.Error()
		}
	}
	return list
}

// print prints what lookup shows of an incident.
func (l *lookupIncident) print(w io.Writer, name string) {
	if l.trouble != "" {
		fmt.Fprintf(w, "%s: incident: cannot say: %s\n", name, show.Printable(l.trouble))
	}
	i := l.Incident
	if i == nil {
		return
	}
	state := strings.ReplaceAll(i.State.String(), "_", " ")
	if i.State == incident.Taken {
		state += " by " + show.Plain(i.Owner, 60)
	}
	fmt.Fprintf(w, "%s: incident, %s, %s, last contact %s\n  flowsnitch incidents show %s\n", i.Offender, i.Worst, state, show.Day(i.Last), i.Offender)
}
