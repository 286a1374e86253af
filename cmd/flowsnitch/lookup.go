package main

import (
	"fmt"
	"io"
	"net/netip"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/spf13/cobra"
)

// newLookup makes the command that explains an address.
func newLookup() *cobra.Command {
	var file string
	var lists []string
	c := &cobra.Command{
		Use:   "lookup [-c FILE] [--intel FILE]... ADDR|PREFIX...",
		Short: "Tell which lists have an address, since when, and what stops them",
		Long: `lookup reads the lists of the configuration and of --intel and tells what they say
of addresses or prefixes: every entry that covers or lies within each, with its
evidence, and what an allowlist, the home networks or a guard have stopped.`,
		Example: `  flowsnitch lookup --intel bad.txt 203.0.113.9
  flowsnitch lookup -c /etc/flowsnitch/flowsnitch.yml 198.51.100.0/24`,
		Args: arguments("an address or a prefix", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := loadConfig(c, file)
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
			t, err := buildTable(c, &cfg, lists)
			if err != nil {
				return err
			}
			for _, p := range asked {
				explain(c.OutOrStdout(), t, p)
			}
			return nil
		},
	}
	configFlag(c, &file)
	intelFlag(c, &lists)
	return c
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
func explain(w io.Writer, t *intel.Table, p netip.Prefix) {
	listings, stopped := t.Listings(p), t.Explain(p)
	name := p.String()
	if p.IsSingleIP() {
		name = p.Addr().String()
	}
	if len(listings) == 0 {
		fmt.Fprintf(w, "%s is not listed\n", name)
	}
	for _, ind := range listings {
		fmt.Fprintf(w, "%s is listed by %s as %s\n", name, ind.Feed, ind.Prefix)
		printEvidence(w, ind)
	}
	for _, s := range stopped {
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
	if s.Feed == "" {
		return fmt.Sprintf("%s: no feed may list it, only your own lists: %s", name, why)
	}
	return fmt.Sprintf("%s: entry %s of %s is not used: %s", name, s.Prefix, s.Feed, why)
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
