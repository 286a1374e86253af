package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// An actCommand is one of the commands that change an incident.
type actCommand struct {
	name    string
	act     incident.Act
	short   string
	long    string
	example string
	done    string // behind the address, when it is done
}

// acts are those commands; that of notes takes other arguments.
var acts = []actCommand{
	{
		"take", incident.ActTake, "Take incidents: you look after them from now on",
		"One that somebody else has taken is refused, with who and since when, unless --force.",
		"  flowsnitch incidents take 203.0.113.9", "taken",
	},
	{
		"close", incident.ActClose, "Close incidents: they are dealt with",
		"A closed incident opens again by itself when its offender comes back.",
		"  flowsnitch incidents close 203.0.113.9 --note \"host was reinstalled\"", "closed",
	},
	{
		"reopen", incident.ActReopen, "Reopen incidents that were closed, taken, or marked as false alarms",
		"", "  flowsnitch incidents reopen 203.0.113.9", "open again",
	},
	{
		"false-alarm", incident.ActFalseAlarm, "Mark incidents as false alarms; that counts against their feeds",
		`A false alarm stays one when the offender comes back, unless it gets worse: a higher
severity, or an answer where there was none. It counts against each feed that has listed the
offender, see 'flowsnitch intel status'. With --allow no feed may list the address for a
time; --note is the reason then.`,
		"  flowsnitch incidents false-alarm 203.0.113.9 --allow --for 30d --note \"our mail relay\"", "marked as a false alarm",
	},
}

// An actOptions are the flags of these commands.
type actOptions struct {
	config, note, span string
	force, allow       bool
}

// newIncidentActs makes the commands that change incidents.
func newIncidentActs() (list []*cobra.Command) {
	for k := range acts {
		list = append(list, newIncidentAct(&acts[k]))
	}
	return append(list, newIncidentNote())
}

// whoWhen ends the help of each of these commands.
const whoWhen = `What is done is noted with your name and the time, in an audit trail that is only added to.
The running instance does it; without one the command works on the database in the state
directory, under the lock of that directory.`

func newIncidentAct(a *actCommand) *cobra.Command {
	var o actOptions
	use := a.name + " [-c FILE] [--note TEXT]"
	switch a.act {
	case incident.ActTake:
		use += " [--force]"
	case incident.ActFalseAlarm:
		use += " [--allow [--for 30d]]"
	}
	c := &cobra.Command{
		Use: use + " ADDR...", Short: a.short, Long: strings.TrimSpace(a.long + "\n\n" + whoWhen), Example: a.example,
		Args: arguments("the address of an offender", anyNumber),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, a, args) },
	}
	locateFlag(c, &o.config)
	c.Flags().StringVar(&o.note, "note", "", "a `text` that says why")
	switch a.act {
	case incident.ActTake:
		c.Flags().BoolVar(&o.force, "force", false, "take those that somebody else has taken as well")
	case incident.ActFalseAlarm:
		c.Flags().BoolVar(&o.allow, "allow", false, "let no feed list the address for a time (--for)")
		c.Flags().StringVar(&o.span, "for", "30d", "how long it is allowed, a `time` such as 12h or 30d")
	}
	return c
}

// run does the same with each address.
func (o *actOptions) run(c *cobra.Command, a *actCommand, args []string) error {
	act := app.Act{Act: a.act, Text: o.note, Force: o.force}
	if c.Flags().Changed("for") && !o.allow {
		return wrongUse(c, "--for is how long the address is allowed, with --allow")
	}
	if o.allow {
		span, err := parseFor(o.span)
		if err != nil {
			return err
		}
		if strings.TrimSpace(o.note) == "" {
			return wrongUse(c, "--allow needs a reason: --note TEXT")
		}
		act.Allow = span
	}
	return actOn(c, o.config, args, act, a.done)
}

// actOn does something with incidents, one after another.
func actOn(c *cobra.Command, file string, args []string, act app.Act, done string) error {
	var list []netip.Addr
	for _, arg := range args {
		a, err := oneAddress(c, arg)
		if err != nil {
			return err
		}
		list = append(list, a)
	}
	return atDesk(c, file, false, func(d desk, cfg *configs.Config) error {
		var errs []error
		for _, a := range list {
			act.Offender = a
			result, err := d.Act(c.Context(), act)
			switch {
			case errors.Is(err, errNoIncident):
				err = nothingKnown(cfg, a)
			case err != nil && !stops(err) && !strings.Contains(err.Error(), a.String()):
				err = fmt.Errorf("%s: %w", a, err)
			}
			if err != nil && stops(err) {
				return err
			}
			if err == nil {
				printActed(c.OutOrStdout(), result, done)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func printActed(w io.Writer, r *app.Acted, done string) {
	fmt.Fprintf(w, "%s: %s", r.Incident.Offender, done)
	if r.Incident.State == incident.Taken && r.Incident.Owner != "" {
		fmt.Fprintf(w, " by %s", show.Plain(r.Incident.Owner, 60))
	}
	if !r.Allowed.IsZero() {
		fmt.Fprintf(w, "; no feed may list it until %s", show.Date(r.Allowed))
	}
	fmt.Fprintln(w)
	for i := range r.Still {
		fmt.Fprintf(w, "%s; until then nothing of it is seen\n", allowedText(&r.Still[i]))
		fmt.Fprintf(w, "  $ %s\n", disallowCommand(&r.Still[i]))
	}
}

// newIncidentNote makes the command that adds a note.
func newIncidentNote() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "note [-c FILE] ADDR TEXT...",
		Short:   "Add a note to an incident",
		Long:    "note adds a text to what is known of an incident, for whoever looks at it next.\n\n" + whoWhen,
		Example: "  flowsnitch incidents note 203.0.113.9 \"asked the owner of the host, waiting\"",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 || strings.TrimSpace(strings.Join(args[1:], " ")) == "" {
				return wrongUse(c, "%s needs an address and a text", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return actOn(c, file, args[:1], app.Act{Act: incident.ActNote, Text: strings.Join(args[1:], " ")}, "noted")
		},
	}
	locateFlag(c, &file)
	return c
}

// stops reports whether an error ends a command, whatever else is to be done: nobody answers.
func stops(err error) bool { return errors.Is(err, web.ErrNotRunning) }
