package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newTop makes the command that shows the running instance live.
func newTop() *cobra.Command {
	var file string
	var every time.Duration
	var count int
	c := &cobra.Command{
		Use:   "top [-c FILE] [--every 2s]",
		Short: "Show live what the running instance receives, finds and loses",
		Long: `top reads the running instance every two seconds and shows: the checks that are not OK,
rates by protocol, losses, the contacts that changed last (our host on the left, the
listed address on the right), exporters, sinks with the age of their last self-test,
and feeds. It uses the whole terminal; headings count what has no room. In a pipe it
prints one block after the other. q or Ctrl-C ends it; NO_COLOR=1 turns colours off.`,
		Example: `  flowsnitch top
  flowsnitch top --every 10s --count 1`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return wrongUse(c, "--every: %s is too short; allowed are 100ms and more", every)
			}
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			return from.absent(top(c.Context(), c.InOrStdin(), c.OutOrStdout(), cfg.StateDir, every, count), "-c")
		},
	}
	locateFlag(c, &file)
	c.Flags().DurationVar(&every, "every", 2*time.Second, "`time` between two updates, such as 10s")
	c.Flags().IntVar(&count, "count", 0, "end after this `number` of rounds; 0 = never")
	return c
}

// answerTime is how long an instance may take to answer; one that hangs is shown as away.
const answerTime = 10 * time.Second

// top asks and shows until ctx ends, q is pressed or count rounds are over.
func top(ctx context.Context, in io.Reader, out io.Writer, stateDir string, every time.Duration, count int) error {
	// A hang-up or a quit signal must not leave the terminal without echo.
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer cancel()
	l := live{painter: newPainter(out), keys: noKeys()}
	if l.painter.terminal != nil {
		l.keys = watchKeys(in, cancel)
	}
	defer l.keys.close()
	// At once, should the painter hang: the next signal ends the program.
	defer context.AfterFunc(ctx, l.keys.restore)()
	defer l.painter.close()
	return l.run(ctx, stateDir, every, count)
}

// A live is one 'flowsnitch top'.
type live struct {
	painter *painter
	keys    *keys
	last    *app.Status // of the round before; nil = there was no answer
	at      time.Time   // of last
	rounds  int         // with an answer, or without one after the first
}

// An answer is what came back for one question.
type answer struct {
	status app.Status
	err    error
	at     time.Time
}

// askLive asks for the status, and for the losses of all sections.
func askLive(ctx context.Context, stateDir string) (app.Status, error) {
	s, err := askStatus(ctx, stateDir)
	if err != nil {
		return s, err
	}
	var all []observe.Sample
	if err := web.Ask(ctx, stateDir, "/status/samples", &all); err != nil {
		return s, err
	}
	s.Losses = slices.DeleteFunc(all, func(sample observe.Sample) bool { return !sample.Loss })
	return s, nil
}

// run is the loop of top. Questions are asked in a goroutine, one at a time, so that keys
// and a change of the terminal's size do not wait for an answer.
func (l *live) run(ctx context.Context, stateDir string, every time.Duration, count int) error {
	answers := make(chan answer, 1)
	ask := func() {
		one, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		s, err := askLive(one, stateDir)
		answers <- answer{s, err, time.Now()}
	}
	resized := make(chan os.Signal, 1)
	if l.painter.terminal != nil {
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	asking := true
	go ask()
	for {
		select {
		case a := <-answers:
			asking = false
			if ctx.Err() != nil {
				return nil
			}
			if err := l.take(&a); err != nil {
				return err
			}
			if l.rounds++; count > 0 && l.rounds > count { // the first has no rates
				return nil
			}
		case <-tick.C:
			if !asking {
				asking = true
				go ask()
			}
		case <-resized:
			if err := l.painter.again(); err != nil {
				return err
			}
		case <-l.keys.suspend:
			if err := l.suspend(); err != nil {
				return err
			}
		case <-ctx.Done():
			if asking {
				<-answers // its context has ended
			}
			return nil
		}
	}
}

// take shows an answer, or that there is none. The first one has nothing to compare with:
// a terminal shows it without rates. An instance that has answered once may be away for a
// while, as for a restart.
func (l *live) take(a *answer) error {
	before, d := l.last, a.at.Sub(l.at)
	l.last, l.at = nil, a.at
	if a.err != nil {
		if l.rounds == 0 {
			return a.err
		}
		return l.painter.show(func(int) []section { return away(a.err) })
	}
	l.last = &a.status
	switch {
	case l.rounds == 0 && l.painter.terminal == nil:
		return nil
	case l.rounds == 0:
		before, d = &a.status, 0
	case before == nil || before.Since.Sub(a.status.Since).Abs() >= time.Second: // the wall clock may move
		before, d = &app.Status{}, time.Since(a.status.Since) // another instance: from its start on
	}
	return l.painter.show(func(columns int) []section { return screen(before, &a.status, d, columns) })
}

// suspend gives the terminal back, stops the process group as Ctrl-Z does, and goes on when
// the shell continues it.
func (l *live) suspend() error {
	l.painter.close()
	l.keys.restore()
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(0, syscall.SIGTSTP); err == nil {
		select {
		case <-continued:
		case <-time.After(time.Second): // the system stops nothing that no shell could continue
		}
	}
	l.keys.take()
	return l.painter.again()
}
