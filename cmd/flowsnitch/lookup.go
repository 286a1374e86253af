package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newLookup makes the command that explains an address.
func newLookup() *cobra.Command {
	var file string
	var lists []string
	c := &cobra.Command{
		Use:   "lookup [-c FILE] [--intel FILE]... ADDR|PREFIX...",
		Short: "Tell which lists have an address, since when, and what stops them",
		Long: `lookup tells what the set in force says of addresses or prefixes: every entry that
covers or lies within each, with its evidence, entries that have expired, and what an
allowlist, the home networks, a warninglist or a guard has stopped. It asks the running
instance; without one, or with --intel, it reads the lists itself, and of feeds the last
good copies in the state directory. With --intel and without -c only these lists count.`,
		Example: `  flowsnitch lookup --intel bad.txt 203.0.113.9
  flowsnitch lookup -c /etc/flowsnitch/flowsnitch.yml 198.51.100.0/24`,
		Args: arguments("an address or a prefix", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := loadListed(c, file, lists)
			if err != nil {
				return err
			}
			var asked []netip.Prefix
			for _, arg := range args {
				p, err := parsePrefix(arg)
				if err != nil {
					return usageError{err}
				}
				asked = append(asked, p)
			}
			answers, err := lookUp(c, &cfg, lists, asked)
			if err != nil {
				return err
			}
			for i := range answers {
				explain(c.OutOrStdout(), &answers[i])
			}
			return nil
		},
	}
	configFlag(c, &file)
	intelFlag(c, &lists)
	return c
}

// loadListed reads the configuration of a command that looks things up. Lists on the
// command line stand for the feeds of the built-in configuration.
func loadListed(c *cobra.Command, file string, lists []string) (configs.Config, error) {
	cfg, err := loadConfig(c, file)
	if file == "" && len(lists) > 0 {
		cfg.Intel.Feeds = nil
	}
	return cfg, err
}

// lookUp asks the running instance, or builds a set to ask.
func lookUp(c *cobra.Command, cfg *configs.Config, lists []string, asked []netip.Prefix) ([]app.Lookup, error) {
	if len(lists) == 0 {
		answers, err := askInstance(c, cfg, asked)
		if !errors.Is(err, web.ErrNotRunning) {
			return answers, err
		}
		fmt.Fprintf(c.ErrOrStderr(), "%v; this is what the lists and its state directory hold\n", err)
	}
	t, err := buildTable(c, cfg, lists)
	if err != nil {
		return nil, err
	}
	var answers []app.Lookup
	for _, p := range asked {
		answers = append(answers, app.LookUp(t, p))
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

// parsePrefix reads an address or a prefix.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is neither an address nor a prefix such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// explain prints all that is known of a prefix.
func explain(w io.Writer, l *app.Lookup) {
	name := l.Prefix.String()
	if l.Prefix.IsSingleIP() {
		name = l.Prefix.Addr().String()
	}
	if len(l.Listings) == 0 {
		fmt.Fprintf(w, "%s is not listed\n", name)
	}
	for _, ind := range l.Listings {
		fmt.Fprintf(w, "%s is listed by %s as %s\n", name, ind.Feed, ind.Prefix)
		printEvidence(w, ind)
	}
	for _, s := range l.Stopped {
		fmt.Fprintln(w, stopText(name, s))
	}
}

// stopText says what keeps a listing from being used, or would keep it.
func stopText(name string, s intel.Suppression) string {
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
	intel.ClassInfrastructure: "everybody talks to it, so it is no hit, whatever a feed says",
	intel.ClassShared:         "many share it, so one feed alone counts half",
	intel.ClassScanner:        "a known scanner, which the category will say",
	intel.ClassSinkhole:       "a sinkhole, which the category will say: whoever of yours talks to it is infected",
}

func printEvidence(w io.Writer, ind intel.Indicator) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, printable(value))
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

// printable makes foreign text safe for a terminal.
func printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			out[i] = '?'
		}
	}
	return string(out)
}
