package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
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
		Short: "Show the shipped and your own rules: what they look at, and whether they are on",
		Long: `list shows the rules that come with flowsnitch and those of the files that the
configuration names (rules.files): what each looks at (hits, or all contacts of the
history), how it counts, by what, in which window, what must hold, and whether it is on. A
rule that is wrong is named on standard error; the exit code is 1 then.`,
		Example: "  flowsnitch rules list\n  flowsnitch rules list --json | jq -r '.[] | select(.off) | .name'",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := locate(c, file)
			if err != nil {
				return err
			}
			return listRules(c, &cfg, asJSON)
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// A listedRule is a rule in JSON; Off is why it is off.
type listedRule struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Over      string   `json:"over"`
	Type      string   `json:"type,omitempty"`
	GroupBy   []string `json:"group_by,omitempty"`
	Window    string   `json:"window,omitempty"`
	Condition string   `json:"condition,omitempty"`
	Level     string   `json:"level"`
	Cooldown  string   `json:"cooldown,omitempty"`
	Alerts    bool     `json:"alerts"` // false: it is for others to refer to
	Shipped   bool     `json:"shipped"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Off       string   `json:"off,omitempty"`
}

func listedOf(e *rulebook.Entry) listedRule {
	c := &e.Correlation
	l := listedRule{Name: e.Name, Title: e.Title, Over: e.Over.String(), Level: e.Level.String(), Alerts: e.Generate, Shipped: e.Shipped, File: e.File, Line: e.Line, Off: e.Off}
	if c.Type == rule.Base {
		return l
	}
	for _, f := range c.GroupBy {
		l.GroupBy = append(l.GroupBy, f.Name)
	}
	l.Type, l.Window, l.Condition, l.Cooldown = c.Type.String(), c.Window(), c.Describe(), e.Cooldown.String()
	return l
}

func listRules(c *cobra.Command, cfg *configs.Config, asJSON bool) error {
	book := rulebook.Load(cfg.Rules)
	list := make([]listedRule, 0, len(book.Entries))
	for i := range book.Entries {
		list = append(list, listedOf(&book.Entries[i]))
	}
	var err error
	if asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(list)
	} else {
		printRules(c.OutOrStdout(), list)
	}
	if n := complainRules(c, book); n > 0 && err == nil {
		err = fmt.Errorf("%d mistakes in rules; what is wrong does not run", n)
	}
	return err
}

func printRules(w io.Writer, list []listedRule) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "rule\tover\ttype\tgroup-by\twindow\tcondition\tlevel\tstate")
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	for _, l := range list {
		state := "on"
		switch {
		case l.Off != "":
			state = "off: " + l.Off
		case !l.Alerts:
			state = "on, for others"
		}
		level := l.Level
		if !l.Alerts {
			level = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Over, dash(l.Type), dash(strings.Join(l.GroupBy, " ")), dash(l.Window), dash(l.Condition), level, state)
	}
	_ = t.Flush() // an error of w shows elsewhere
}

// complainRules prints what is wrong with rules, and gives how much.
func complainRules(c *cobra.Command, book *rulebook.Book) int {
	for _, err := range book.Bad {
		fmt.Fprintln(c.ErrOrStderr(), err)
	}
	return len(book.Bad)
}

// newRulesCheck makes the command that reads files of rules.
func newRulesCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Read files of rules, and show what is wrong",
		Long: `check reads files of rules and shows each mistake with its line and column, and what is
allowed there. The rules may refer to each other and to shipped ones. How to write a rule:
configs/rules/README.md. Exit codes: 0 all are right, 2 something is wrong.`,
		Example: "  flowsnitch rules check /etc/flowsnitch/rules/*.yml",
		Args:    arguments("a file of rules", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			book, err := rulesOf(args)
			if err != nil {
				return err
			}
			own := slices.DeleteFunc(slices.Clone(book.Entries), func(e rulebook.Entry) bool { return e.Shipped })
			fmt.Fprintf(c.OutOrStdout(), "rules OK: %d in %d files\n", len(own), len(args))
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
