package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// saveSilences is how often the counters of silences are brought to the disk, saveTime how
// long that may take.
const (
	saveSilences = 10 * time.Minute
	saveTime     = 10 * time.Second
)

// Where silences and allowed prefixes are listed, added and removed.
const (
	SilencesPath = "/api/v1/silences"
	AllowedPath  = "/api/v1/allowed"
)

// A silences component has the operator's silences, and the prefixes that are allowed for a
// time.
type silences struct {
	book *silence.Book
	log  *zap.Logger
	lost string // what is wrong with the file of earlier runs; set by Start
	save trouble
}

func newSilences(a *App) *silences {
	s := &silences{log: a.log, book: silence.New(silenceConfig(&a.cfg, a.watch.Now, func() { a.feeds.policyChanged() }))}
	s.save = trouble{log: a.log, begins: "the counters of silences are not saved", ends: "the counters of silences are saved again"}
	a.background.every("the end of silences", time.Second, func(time.Time) { s.book.Expire() })
	a.background.every("saving the counters of silences", saveSilences, func(time.Time) {
		ctx, cancel := context.WithTimeout(context.Background(), saveTime)
		defer cancel()
		s.save.tell(s.book.Save(ctx))
	})
	return s
}

// silenceConfig gives what the silences of a state directory need. now is the date that can be
// trusted, allowed is called after other prefixes are allowed; both may be nil.
func silenceConfig(cfg *configs.Config, now func() time.Time, allowed func()) silence.Config {
	return silence.Config{Path: filepath.Join(cfg.StateDir, silence.FileName), Home: cfg.AllHome(), Now: now, Allowed: allowed}
}

// readBook reads the silences of a state directory, which stays as it is.
func readBook(cfg *configs.Config, now func() time.Time) (*silence.Book, error) {
	c := silenceConfig(cfg, now, nil)
	c.ReadOnly = true
	b := silence.New(c)
	return b, b.Load()
}

// ReadSilences is readBook for commands: the error has what to do.
func ReadSilences(cfg *configs.Config) (*silence.Book, error) {
	b, err := readBook(cfg, nil)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: %s", err, runAs)
	}
	return b, err
}

// runAs is what to do about a file that cannot be read.
const runAs = "run this as root, or as the user that runs flowsnitch"

// OpenSilences opens the silences of a state directory to change them. Whoever does so must
// have its lock, see [web.LockStateDir]. A file that cannot be read is an error, and stays: to
// begin anew is for an instance, which reports it.
func OpenSilences(cfg *configs.Config) (*silence.Book, error) {
	if _, err := ReadSilences(cfg); err != nil {
		return nil, fmt.Errorf("nothing has changed: %w", err)
	}
	b := silence.New(silenceConfig(cfg, nil, nil))
	return b, b.Load()
}

// Register shows and judges the silences, and lets operators change them.
func (s *silences) Register(c *observe.Component) {
	c.Add(observe.Printed("silences", s.status, printSilences), silenceCheck(s.status))
	for _, r := range s.routes() {
		c.Add(r)
	}
}

// Start reads the file. A damaged one is no reason not to start: too many events are better
// than none.
func (s *silences) Start() error {
	if err := s.book.Load(); err != nil {
		s.lost = err.Error()
		s.log.Error("the silences of earlier runs cannot be read", zap.Error(err))
	}
	return nil
}

// Stop saves the counters.
func (s *silences) Stop(ctx context.Context) error { return s.book.Save(ctx) }

// routes are what operators ask.
func (s *silences) routes() []observe.Route {
	local := func(path string, f func(*http.Request) (any, error)) observe.Route {
		return observe.Route{Method: http.MethodGet, Path: path, Role: observe.Local, Handler: answering(f)}
	}
	act := func(method, path string, f func(*http.Request) (any, error)) observe.Route {
		return observe.Route{Method: method, Path: path, Role: observe.Operator, Handler: answering(f)}
	}
	return []observe.Route{
		local(SilencesPath, func(r *http.Request) (any, error) { return s.book.List(r.URL.Query().Get("all") == "true"), nil }),
		act(http.MethodPost, SilencesPath, func(r *http.Request) (any, error) {
			return AddSilence(r.Context(), s.book, r.URL.Query(), web.Author(r.Context()))
		}),
		act(http.MethodDelete, SilencesPath+"/{id}", func(r *http.Request) (any, error) {
			return s.book.Remove(r.Context(), r.PathValue("id"), web.Author(r.Context()))
		}),
		local(AllowedPath, func(*http.Request) (any, error) { return s.book.AllowList(), nil }),
		act(http.MethodPost, AllowedPath, func(r *http.Request) (any, error) {
			return AddAllowed(r.Context(), s.book, r.URL.Query(), web.Author(r.Context()))
		}),
		act(http.MethodDelete, AllowedPath, func(r *http.Request) (any, error) {
			p, err := silence.ParsePrefix(r.URL.Query().Get("prefix"))
			if err != nil {
				return nil, err
			}
			return s.book.Disallow(r.Context(), p)
		}),
	}
}

// answering is [observe.JSON] with a status for what does not exist, and for what exists
// already.
func answering(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		switch {
		case err == nil:
			observe.Answer(w, http.StatusOK, answer)
		case errors.Is(err, silence.ErrUnknown):
			observe.Answer(w, http.StatusNotFound, observe.Failure{Error: err.Error()})
		case errors.Is(err, silence.ErrThere):
			observe.Answer(w, http.StatusConflict, observe.Failure{Error: err.Error()})
		case errors.Is(err, silence.ErrDisk):
			observe.Fail(w, observe.Unavailable(err.Error()))
		default:
			observe.Fail(w, err)
		}
	})
}

// AddSilence adds the silence of a request, as [silence.Parse] reads it.
func AddSilence(ctx context.Context, b *silence.Book, request url.Values, author string) (silence.Silence, error) {
	s, err := silence.Parse(request, b.Now())
	if err != nil {
		return s, err
	}
	s.Author = author
	return b.Add(ctx, s)
}

// AddAllowed adds the allowed prefix of a request: prefix, reason, and for or until.
func AddAllowed(ctx context.Context, b *silence.Book, request url.Values, author string) (a silence.Allowed, err error) {
	a = silence.Allowed{Reason: request.Get(silence.KeyReason), Author: author}
	if a.Prefix, err = silence.ParsePrefix(request.Get("prefix")); err != nil {
		return a, err
	}
	if a.Until, err = silence.ParseEnd(request, b.Now()); err != nil {
		return a, err
	}
	return b.Allow(ctx, a)
}

// A SilenceStatus is what is quiet, and how much that was.
type SilenceStatus struct {
	InForce  int    `json:"in_force" name:"silences" help:"Silences in force." show:"some"`
	Allowed  int    `json:"allowed" name:"allowed_prefixes" help:"Prefixes that are allowed for a time, beside intel.allow." show:"some"`
	Low      uint64 `json:"low" name:"silenced_events_total" help:"Events that a silence was in force for when they were made, by severity." with:"severity=low"`
	Medium   uint64 `json:"medium" name:"silenced_events_total" help:"Events that a silence was in force for when they were made, by severity." with:"severity=medium"`
	High     uint64 `json:"high" name:"silenced_events_total" help:"Events that a silence was in force for when they were made, by severity." with:"severity=high"`
	Critical uint64 `json:"critical" name:"silenced_events_total" help:"Events that a silence was in force for when they were made, by severity." with:"severity=critical"`
	// NextEnd is when one of them ends.
	NextEnd time.Time `json:"next_end,omitzero" name:"-"`
	// Lost is why the silences of earlier runs could not be read, Unsaved why the last change
	// could not be written.
	Lost    string `json:"lost,omitempty" show:"some" words:"of earlier runs lost"`
	Unsaved string `json:"unsaved,omitempty" show:"some" words:"not saved"`
}

func (s *silences) status() SilenceStatus {
	now := silenceStatus(s.book.Stats())
	now.Lost = s.lost
	return now
}

func silenceStatus(b silence.Stats) SilenceStatus {
	return SilenceStatus{
		InForce: b.Silences, Allowed: b.Allowed, Low: b.Events[0], Medium: b.Events[1], High: b.Events[2], Critical: b.Events[3],
		NextEnd: b.Next, Unsaved: b.Unsaved,
	}
}

// silenceCheck looks for what operators have made and the disk does not have.
func silenceCheck(status func() SilenceStatus) observe.Check {
	return observe.Check{Name: "silence", State: func(time.Time) observe.Finding {
		var f finding
		s := status()
		if s.Lost != "" {
			f.Warn("lost", "the silences of earlier runs cannot be read: %s; make those again that are needed, and restart", s.Lost)
		}
		if s.Unsaved != "" {
			f.Warn("unsaved", "silences are not saved: %s", s.Unsaved)
		}
		f.Otherwise("silences are saved")
		return f.Finding
	}}
}

// printSilences prints one line, once something is or was silenced.
func printSilences(w io.Writer, s SilenceStatus, _ bool) {
	events := show.Some(show.Count(s.Critical, "critical"), show.Count(s.High, "high"), show.Count(s.Medium, "medium"), show.Count(s.Low, "low"))
	if s.InForce == 0 && s.Allowed == 0 && events == "" && s.Lost == "" && s.Unsaved == "" {
		return
	}
	fmt.Fprintf(w, "silences   %d in force", s.InForce)
	if s.Allowed > 0 {
		noun := "prefixes"
		if s.Allowed == 1 {
			noun = "prefix"
		}
		fmt.Fprintf(w, ", %d %s allowed for a time", s.Allowed, noun)
	}
	if !s.NextEnd.IsZero() {
		fmt.Fprintf(w, ", the next ends %s", show.Date(s.NextEnd))
	}
	fmt.Fprintf(w, "; events silenced: %d%s\n", s.Low+s.Medium+s.High+s.Critical, events)
	for _, text := range []string{s.Lost, s.Unsaved} {
		if text != "" {
			fmt.Fprintf(w, "           %s\n", text)
		}
	}
}
