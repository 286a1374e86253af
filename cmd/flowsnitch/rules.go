package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newRules groups the commands about correlation rules.
func newRules() *cobra.Command {
	c := &cobra.Command{
		Use:     "rules",
		Short:   "Correlation rules: list, check, and try them on what was",
		Example: "  flowsnitch rules list\n  flowsnitch rules test mine.yml --history --since 30d",
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRulesList(), newRulesCheck(), newRulesTest())
	return c
}

// newRulesList makes the command that shows which rules there are.
func newRulesList() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [-c FILE] [--json]",
		Short: "Show the shipped and your own rules, whether they run, and their alerts of the last day",
		Long: `list shows the rules that come with flowsnitch and those of your files (rules.files): what
each looks at (hits, all contacts of the history, or logins), its severity, the window, how
many alerts the running instance has sent in the last 24 hours, whether the rule is on, off
(and why) or quarantined after too many alerts, where it comes from, by what it groups, and
what must hold. Without a running instance the files are read, and there are no alerts. A
rule that is not valid is named on standard error; the exit code is 1 then.`,
		Example: `  flowsnitch rules list
  flowsnitch rules list --json | jq -r '.[] | select(.off) | "\(.name): \(.off)"'`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			var list app.RuleList
			answered, err := from.ask(c, cfg.StateDir, "these are the rules of its files", func() error {
				return web.Ask(c.Context(), cfg.StateDir, app.RulesPath, &list)
			})
			if err != nil {
				return err
			}
			if !answered {
				list = app.ListRules(rulebook.Load(cfg.Rules), cfg.History.Enabled)
			}
			return showRules(c, &list, asJSON)
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// showRules prints a list of rules. What is wrong in files is an error.
func showRules(c *cobra.Command, list *app.RuleList, asJSON bool) error {
	err := printShown(c.OutOrStdout(), asJSON, list.Rules, func(w io.Writer) { printRules(w, list.Rules) })
	if err != nil {
		return err
	}
	if s := list.Since; !asJSON && !s.IsZero() && time.Since(s) < 24*time.Hour {
		fmt.Fprintf(c.ErrOrStderr(), "alerts are those since the start of the instance, %s\n", show.Date(s))
	}
	for _, text := range list.Invalid {
		fmt.Fprintln(c.ErrOrStderr(), show.Printable(text))
	}
	if n := len(list.Invalid); n > 0 {
		return fmt.Errorf("rules that are not valid do not run: %d", n)
	}
	return nil
}

func printRules(w io.Writer, list []app.ListedRule) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "rule\tover\tlevel\twindow\talerts\tstate\tfrom\tby\tcondition")
	for i := range list {
		l := &list[i]
		level, alerts, from := l.Level, "-", "shipped"
		if !l.Alerts {
			level = "-"
		} else if l.LastDay != nil {
			alerts = strconv.FormatUint(*l.LastDay, 10)
		}
		if !l.Shipped {
			from = fmt.Sprintf("%s:%d", show.Printable(l.File), l.Line)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Over, level, cmp.Or(l.Window, "-"), alerts, stateOfRule(l), from, cmp.Or(strings.Join(l.GroupBy, ", "), "-"), cmp.Or(l.Condition, "-"))
	}
	_ = t.Flush() // an error of w shows elsewhere
}

// stateOfRule is whether a rule runs.
func stateOfRule(l *app.ListedRule) string {
	switch {
	case l.Off != "":
		return "off: " + l.Off
	case !l.Quarantined.IsZero():
		return "quarantined until " + show.Date(l.Quarantined)
	case l.Note != "":
		return "on, but " + l.Note
	case !l.Alerts:
		return "on, for others"
	}
	return "on"
}

// complainRules prints what is wrong with rules.
func complainRules(c *cobra.Command, book *rulebook.Book) {
	for _, err := range book.Bad {
		fmt.Fprintln(c.ErrOrStderr(), show.Printable(err.Error()))
	}
}

// newRulesCheck makes the command that reads files of rules.
func newRulesCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Read files of rules, and show what is wrong",
		Long: `check reads files of rules and shows each mistake in one line with file, line and column, and
what is allowed there; of a rule the first mistake. The rules may refer to each other and to
shipped ones. A rule with the name of a shipped one replaces that, which is remarked. How to
write a rule: configs/rules/README.md, at https://github.com/flowsnitch/flowsnitch. Exit
codes: 0 all are right, 2 something is wrong.`,
		Example: "  flowsnitch rules check /etc/flowsnitch/rules/*.yml",
		Args:    arguments("a file of rules", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			book, err := rulesOf(args)
			if err != nil {
				return err
			}
			own := slices.DeleteFunc(slices.Clone(book.Entries), func(e rulebook.Entry) bool { return e.Shipped })
			fmt.Fprintf(c.OutOrStdout(), "rules OK: %d in %d files\n", len(own), len(args))
			shipped := rulebook.Shipped()
			for _, e := range own {
				if slices.ContainsFunc(shipped, func(r *rule.Rule) bool { return r.Name == e.Name }) {
					fmt.Fprintf(c.ErrOrStderr(), "%s:%d:1: rule %s replaces the shipped rule of that name\n", show.Printable(e.File), e.Line, e.Name)
				}
			}
			return nil
		},
	}
}

// rulesOf reads files of rules, which must all be right.
func rulesOf(paths []string) (*rulebook.Book, error) {
	book := rulebook.Of(paths...)
	if len(book.Bad) > 0 {
		return nil, usageError{errors.Join(book.Bad...)}
	}
	return book, nil
}
