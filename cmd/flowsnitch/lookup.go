package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// Exit codes of lookup beside those of wrong use and failure: of several addresses the
// highest.
const (
	lookupListed  = 0
	lookupNot     = 1
	lookupUnknown = 3
)

// newLookup makes the command that explains an address.
func newLookup() *cobra.Command {
	var file string
	var lists []string
	var asJSON, names bool
	c := &cobra.Command{
		Use:   "lookup [-c FILE] [--intel FILE]... [--names] [--json] ADDR|PREFIX...",
		Short: "Show which lists have an address, since when, and what overrides them",
		Long: `lookup prints the listings of addresses or prefixes in the set in force: every entry that
covers or lies within each, with its evidence, expired entries, and entries that an
allowlist, the home networks, a warninglist or a guard overrides. It uses the running
instance; without one, or with --intel, it reads the lists itself, and for feeds the last
good copies in the state directory. With --intel and without -c only these lists count.
Below come the incident of each address, if there is one ('flowsnitch incidents show' has it
whole), and the last contacts of your hosts with each, at most 5, as far as the history
of contacts on disk has them ('flowsnitch hunt' finds all, to the last minute). Country
and AS come from the databases of enrich.mmdb. Names are asked of the DNS with --names
alone, for whoever has the zone, often the offender, sees the question.

Without -c it looks for the running instance of this user, then reads the configuration
that $FLOWSNITCH_CONFIG names, then that of the package.

Exit codes: 0 listed, 1 not listed, 2 wrong use, 3 cannot say (nothing is known, or the
instance does not answer); of several addresses the highest. With --json it prints an
object for each address, one a line; its "answer" is listed, not_listed or unknown.`,
		Example: `  flowsnitch lookup 203.0.113.9
  flowsnitch lookup --intel bad.txt 203.0.113.9
  flowsnitch lookup -c /etc/flowsnitch/flowsnitch.yml --json 198.51.100.0/24 2001:db8::1`,
		Args: arguments("an address or a prefix", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			asked, err := parsePrefixes(args)
			if err != nil {
				return err
			}
			cfg, from, err := loadListed(c, file, lists)
			if err != nil {
				return err
			}
			answers, err := lookUp(c, &cfg, &from, lists, asked)
			if err != nil {
				return unanswered{err}
			}
			more := asides{past: contactsOf(c.Context(), &cfg, asked), incidents: incidentsOf(c.Context(), &cfg, asked)}
			if names {
				more.names = namesOf(c.Context(), net.DefaultResolver, asked)
			}
			return printLookups(c, answers, more, args, asJSON)
		},
	}
	locateFlag(c, &file)
	intelFlag(c, &lists)
	c.Flags().BoolVar(&names, "names", false, "ask the DNS for the names of addresses, for at most 5 seconds")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each address, one a line")
	return c
}

// An unanswered question is one that lookup cannot say anything about.
type unanswered struct{ error }

func (e unanswered) Unwrap() error { return e.error }

// loadListed gives the configuration of a command that looks things up. Lists on the
// command line stand for the feeds where no configuration is named.
func loadListed(c *cobra.Command, file string, lists []string) (configs.Config, origin, error) {
	if file != "" || c.Flags().Changed("config") || len(lists) == 0 {
		return locate(c, file)
	}
	cfg, err := loadConfig(c, "")
	cfg.Intel.Feeds = nil
	return cfg, origin{}, err
}

// lookUp asks the running instance, or builds a set to ask. What was not asked of an
// instance that the command line names is said on standard error.
func lookUp(c *cobra.Command, cfg *configs.Config, from *origin, lists []string, asked []netip.Prefix) (answers []app.Lookup, err error) {
	if len(lists) == 0 {
		answered, err := from.ask(c, cfg.StateDir, listsHold, func() (err error) {
			answers, err = askInstance(c, cfg, asked)
			return err
		})
		if answered {
			return answers, err
		}
	}
	t, feeds, err := buildTable(c, cfg, lists)
	if err != nil {
		return nil, err
	}
	silences, err := app.ReadSilences(cfg)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "the silences cannot be read: %v\n", err)
	}
	place, end := placesOf(cfg)
	defer end()
	for _, p := range asked {
		l := app.LookUp(t, feeds, p)
		l.Locate(place)
		l.Silenced(silences)
		answers = append(answers, l)
	}
	return answers, nil
}

func askInstance(c *cobra.Command, cfg *configs.Config, asked []netip.Prefix) ([]app.Lookup, error) {
	query := make(url.Values)
	for _, p := range asked {
		query.Add("prefix", p.String())
	}
	var answers []app.Lookup
	return answers, web.Ask(c.Context(), cfg.StateDir, "/lookup?"+query.Encode(), &answers)
}

// parsePrefixes reads the arguments of a command as addresses or prefixes.
func parsePrefixes(args []string) (list []netip.Prefix, err error) {
	for _, arg := range args {
		p, err := parsePrefix(arg)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return netip.Prefix{}, fmt.Errorf("%q is an address with a port; leave the port out: %s", s, ap.Addr())
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case isName(s):
		return p, fmt.Errorf("%q is a name, and names are not looked up; give an address, or a prefix such as 192.0.2.0/24", s)
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q is neither an address nor a prefix such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// isName reports whether somebody means a host, a domain or a URL.
func isName(s string) bool {
	if strings.Contains(s, "://") {
		return true
	}
	host, _, _ := strings.Cut(s, "/")
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	return strings.Contains(host, ".") && strings.ContainsFunc(last, unicode.IsLetter) && !strings.Contains(host, ":")
}

// printLookups prints all answers; the exit code is that of the one that knows least.
func printLookups(c *cobra.Command, answers []app.Lookup, more asides, args []string, asJSON bool) error {
	worst := lookupListed
	enc := json.NewEncoder(c.OutOrStdout())
	for i := range answers {
		l := &answers[i]
		worst = max(worst, codeOfLookup(l))
		if !asJSON {
			explain(c.OutOrStdout(), l)
			more.namesAt(i).print(c.OutOrStdout(), nameOf(l.Prefix))
			more.incidents[i].print(c.OutOrStdout(), nameOf(l.Prefix))
			more.past[i].print(c.OutOrStdout(), nameOf(l.Prefix))
			continue
		}
		line := lookupLine(args[i], l, more.past[i], more.namesAt(i))
		line.Incident, line.IncidentError = more.incidents[i].Incident, more.incidents[i].trouble
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	if out, ok := c.OutOrStdout().(*output); ok && out.failure() != nil {
		return unanswered{out.failure()}
	}
	if worst == lookupListed {
		return nil
	}
	return verdict(worst)
}

// codeOfLookup never takes an empty set for an answer.
func codeOfLookup(l *app.Lookup) int {
	switch {
	case len(l.Listings) > 0:
		return lookupListed
	case l.Indicators == 0:
		return lookupUnknown
	}
	return lookupNot
}

// explain prints all that is known of a prefix.
func explain(w io.Writer, l *app.Lookup) {
	name := nameOf(l.Prefix)
	if l.Embedded.IsValid() {
		fmt.Fprintf(w, "%s carries %s, which is looked up, too\n", name, l.Embedded)
	}
	if l.Place.Known() {
		fmt.Fprintf(w, "%s belongs to %s\n", name, placeText(l.Place))
	}
	switch codeOfLookup(l) {
	case lookupUnknown:
		fmt.Fprintf(w, "%s: cannot say, nothing is known here: no list has an entry yet%s\n", name, lacking(l))
	case lookupNot:
		fmt.Fprintf(w, "%s is not listed%s\n", name, lacking(l))
	}
	for _, ind := range l.Listings {
		fmt.Fprintf(w, "%s is listed by %s as %s\n", name, ind.Feed, ind.Prefix)
		printEvidence(w, ind)
	}
	for _, s := range l.Stopped {
		if l.Embedded.IsValid() && s.Prefix.Contains(l.Embedded) {
			fmt.Fprintln(w, stopText(l.Embedded.String(), s))
			continue
		}
		fmt.Fprintln(w, stopText(name, s))
	}
	printSilenced(w, name, &l.Quiet)
}

// nameOf gives the text of a prefix, that of the address for a single one.
func nameOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// lacking names the feeds that a set lacks.
func lacking(l *app.Lookup) string {
	if len(l.Missing) == 0 {
		return ""
	}
	return fmt.Sprintf(" (there is no complete copy yet of %s, see 'flowsnitch intel status')", show.Printable(strings.Join(l.Missing, ", ")))
}

// A lookupAnswer is what lookup --json prints of one address.
type lookupAnswer struct {
	Query      string          `json:"query"` // as on the command line
	Prefix     netip.Prefix    `json:"prefix"`
	Answer     string          `json:"answer"`  // listed, not_listed or unknown
	Version    string          `json:"version"` // of the set
	Indicators int             `json:"indicators"`
	Missing    []string        `json:"missing,omitempty"` // feeds without a complete copy
	Listings   []lookupListing `json:"listings"`
	Stopped    []lookupListing `json:"stopped"`
	History    *lookupHistory  `json:"history,omitempty"` // absent where there is none
	Place      *enrich.Place   `json:"place,omitempty"`   // absent where no database has it
	Names      *lookupNames    `json:"names,omitempty"`   // absent without --names
	app.Quiet
	// Incident is what is known of the address as an offender; absent where there is none.
	Incident *incident.Incident `json:"incident,omitempty"`
	// IncidentError is why it is not known whether there is one.
	IncidentError string `json:"incident_error,omitempty"`
}

// A lookupListing is an entry of a feed; with a reason one that is not used, or a network
// that no feed may list.
type lookupListing struct {
	Prefix      netip.Prefix  `json:"prefix"`
	Feed        string        `json:"feed,omitempty"`
	Score       uint8         `json:"score,omitempty"`
	Category    string        `json:"category,omitempty"`
	Port        uint16        `json:"port,omitempty"`
	Reference   string        `json:"reference,omitempty"`
	ID          string        `json:"id,omitempty"`
	Description string        `json:"description,omitempty"`
	TLP         string        `json:"tlp,omitempty"`
	FirstSeen   time.Time     `json:"first_seen,omitzero"`
	LastSeen    time.Time     `json:"last_seen,omitzero"`
	Expires     time.Time     `json:"expires,omitzero"`
	Reason      lookup.Reason `json:"reason,omitempty"`
	By          netip.Prefix  `json:"by,omitzero"`
	ByName      string        `json:"by_name,omitempty"`
}

func lookupLine(query string, l *app.Lookup, past *lookupHistory, names *lookupNames) lookupAnswer {
	a := lookupAnswer{
		Query: query, Prefix: l.Prefix, Version: l.Version, Indicators: l.Indicators, Missing: l.Missing,
		Answer:   map[int]string{lookupListed: "listed", lookupNot: "not_listed", lookupUnknown: "unknown"}[codeOfLookup(l)],
		Listings: []lookupListing{}, Stopped: []lookupListing{}, History: past, Names: names,
		Quiet: l.Quiet,
	}
	if l.Place.Known() {
		a.Place = &l.Place
	}
	for i := range l.Listings {
		a.Listings = append(a.Listings, listingOf(&l.Listings[i]))
	}
	for i := range l.Stopped {
		s := &l.Stopped[i]
		entry := listingOf(&s.Indicator)
		entry.Reason, entry.By, entry.ByName = s.Reason, s.By, s.Name
		a.Stopped = append(a.Stopped, entry)
	}
	return a
}

func listingOf(ind *intel.Indicator) lookupListing {
	return lookupListing{
		Prefix: ind.Prefix, Feed: ind.Feed, Score: ind.Score, Category: ind.Category, Port: ind.Port, Reference: ind.Ref,
		ID: ind.NativeID, Description: ind.Description, TLP: ind.TLP, FirstSeen: ind.FirstSeen, LastSeen: ind.LastSeen, Expires: ind.Expires,
	}
}

// stopText returns what keeps a listing from being used, or would keep it.
func stopText(name string, s lookup.Suppression) string {
	why := string(s.Reason)
	if s.By.IsValid() {
		why += " " + s.By.String()
	}
	if s.Name != "" {
		why += " (" + s.Name + ")"
	}
	switch effect := classEffects[intel.Class(s.Reason)]; {
	case s.Feed != "":
		return fmt.Sprintf("%s: entry %s of %s is not used: %s", name, s.Prefix, s.Feed, why)
	case effect != "":
		return fmt.Sprintf("%s: %s %s: %s", name, s.Name, s.By, effect)
	}
	return fmt.Sprintf("%s: no feed may list it, only your own lists: %s", name, why)
}

// classEffects say what a warninglist does to what feeds list.
var classEffects = map[intel.Class]string{
	intel.ClassInfrastructure: "shared infrastructure: never a hit, even if a feed lists it",
	intel.ClassShared:         "shared by many: one feed alone counts half",
	intel.ClassScanner:        "a known scanner; its category is scanner",
	intel.ClassSinkhole:       "a sinkhole; its category is sinkhole: a host of yours that talks to it is infected",
}

func printEvidence(w io.Writer, ind intel.Indicator) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, show.Printable(value))
		}
	}
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	line("score", fmt.Sprint(ind.Score))
	line("category", ind.Category)
	if ind.Port != 0 {
		line("port", fmt.Sprint(ind.Port))
	}
	line("reference", ind.Ref)
	line("id", ind.NativeID)
	line("description", ind.Description)
	line("tlp", ind.TLP)
	line("first seen", date(ind.FirstSeen))
	line("last seen", date(ind.LastSeen))
	line("expires", date(ind.Expires))
}
