package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
	"go.uber.org/zap"
)

// ReportFile remembers in the state directory which report was sent last.
const ReportFile = "report.json"

// Times of the mail. A report that could not be sent is tried again, less and less often, until
// the next one is due.
const (
	postLook     = time.Minute
	postTime     = 2 * time.Minute
	postAgain    = time.Minute
	postAtLatest = time.Hour
)

// A reportPost sends reports when they are due. After a time without flowsnitch or without a mail
// server, the one that was due last is sent, and no other: those are counted, and it names
// their time.
type reportPost struct {
	make     func(context.Context, report.Options) (*report.Report, error)
	send     func(ctx context.Context, by mail.Config, subject, text string, files ...mail.File) error
	now      func() time.Time
	unsynced func() bool
	path     string
	log      *zap.Logger

	cancel context.CancelFunc
	done   chan struct{} // nil = not started

	mu           sync.Mutex
	cfg          report.Config
	schedule     report.Schedule
	by           mail.Config
	last         time.Time // when the last one that is done with was due
	sent, failed uint64
	missed       uint64 // in whose place a later one went out, or is to
	behind       int    // of these, those since last
	trouble      string
	due          time.Time // of the first one that is late; zero = none is
}

func newReportPost(cfg *configs.Config, make func(context.Context, report.Options) (*report.Report, error), now func() time.Time, unsynced func() bool, log *zap.Logger) *reportPost {
	p := &reportPost{make: make, now: now, unsynced: unsynced, path: filepath.Join(cfg.StateDir, ReportFile), log: log}
	p.send = func(ctx context.Context, by mail.Config, subject, text string, files ...mail.File) error {
		return by.Send(ctx, subject, text, files...)
	}
	p.configure(cfg)
	return p
}

// configure takes up a valid configuration.
func (p *reportPost) configure(cfg *configs.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg = cfg.Report
	p.schedule, _ = report.ParseSchedule(cfg.Report.Every)
	if !p.schedule.Never() {
		p.by, _ = cfg.ReportMail()
	}
}

func (p *reportPost) maxTLP() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg.MaxTLP
}

// start begins to look at the time.
func (p *reportPost) start() error {
	if err := p.recall(); err != nil {
		p.log.Warn("which report was sent last cannot be read; the next one goes out when it is due", zap.Error(err))
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.done = make(chan struct{})
	go p.run(ctx)
	return nil
}

// stop ends the mail that is being sent.
func (p *reportPost) stop(ctx context.Context) error {
	p.cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.New("the mail server does not answer")
	}
}

func (p *reportPost) run(ctx context.Context) {
	defer close(p.done)
	var pause time.Duration // until the next attempt
	look := time.NewTimer(postLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		if p.turn(ctx) {
			pause = 0
		} else {
			pause = min(max(2*pause, postAgain), postAtLatest)
		}
		look.Reset(max(pause, postLook))
	}
}

// turn sends the report that is due, if there is one. False means that it could not.
func (p *reportPost) turn(ctx context.Context) bool {
	due, by, maxTLP, ok := p.next()
	if !ok {
		return true
	}
	err := p.deliver(ctx, due, by, maxTLP)
	if ctx.Err() != nil {
		return false
	}
	p.announce(due, err)
	p.settle(due, err)
	return err == nil
}

// clockSlack is how far ahead of now the last report may have been due: by more, the clock was
// wrong then, and there would be none until that time.
const clockSlack = 24 * time.Hour

// next gives the report that is due. Where nothing is known of earlier ones, as at the first
// start and after a time without a schedule, the next one is the first. By a clock that cannot
// be trusted none is sent.
func (p *reportPost) next() (due time.Time, by mail.Config, maxTLP string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	trusted := !p.unsynced()
	now := p.now().Local()
	switch last := p.last; {
	case p.schedule.Never():
		p.note(time.Time{})
	case !trusted:
	case last.IsZero(), last.Sub(now) > clockSlack:
		p.note(p.schedule.Latest(now))
	}
	p.due, p.trouble = time.Time{}, ""
	if p.schedule.Never() || p.last.IsZero() {
		return due, by, "", false
	}
	due = p.schedule.Latest(now)
	first, n := p.schedule.Due(p.last, due)
	if n == 0 {
		return due, by, "", false
	}
	p.due = first
	if !trusted {
		p.trouble = "the clock cannot be trusted"
		return due, by, "", false
	}
	if n-1 > p.behind {
		p.missed += uint64(n - 1 - p.behind)
		p.behind = n - 1
	}
	return due, p.by, p.cfg.MaxTLP, true
}

// note remembers when the last report was due that is done with; zero = none is known.
func (p *reportPost) note(last time.Time) {
	if last.Equal(p.last) {
		return
	}
	p.last, p.behind = last, 0
	p.remember()
}

// apology is about the reports that were due before this one and were not sent, empty for none.
func (p *reportPost) apology(due time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, n := p.schedule.Due(p.last, due)
	if n < 2 {
		return ""
	}
	from, _ := p.schedule.Period(first)
	until, _ := p.schedule.Period(due)
	return fmt.Sprintf("%d earlier %s not be sent. This shows what they were about:\n  flowsnitch report --since %s --until %s\n\n",
		n-1, map[bool]string{true: "report could", false: "reports could"}[n == 2], from.Format(time.DateOnly), until.Format(time.DateOnly))
}

// deliver makes a report and sends it.
func (p *reportPost) deliver(ctx context.Context, due time.Time, by mail.Config, maxTLP string) error {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	from, until := p.scheduled(due)
	r, err := p.make(ctx, report.Options{From: from, Until: until, MaxTLP: maxTLP})
	if err != nil {
		return err
	}
	var text, page bytes.Buffer
	if err := errors.Join(r.Text(&text), r.HTML(&page)); err != nil {
		return err
	}
	apology := p.apology(due)
	day := until.AddDate(0, 0, -1).Format(time.DateOnly)
	return p.send(ctx, by, r.Subject(), apology+text.String(), mail.File{Name: "report-" + day + ".html", Type: "text/html; charset=utf-8", Content: page.Bytes()})
}

func (p *reportPost) scheduled(due time.Time) (from, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.schedule.Period(due)
}

// settle notes what became of a report.
func (p *reportPost) settle(due time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed++
		p.trouble = err.Error()
		return
	}
	p.sent++
	p.due, p.trouble = time.Time{}, ""
	p.note(due)
}

// status gives what became of the reports.
func (p *reportPost) status() ReportStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ReportStatus{Every: p.cfg.Every, Sent: p.sent, Failed: p.failed, Missed: p.missed, Last: p.last, Due: p.due, Error: p.trouble}
}

// posted is what the file has.
type posted struct {
	Last time.Time `json:"last"`
}

// recall reads which report was sent last.
func (p *reportPost) recall() error {
	b, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f posted
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	p.last = f.Last
	return nil
}

// remember writes which report was sent last; without the file it might be sent again.
func (p *reportPost) remember() {
	b, err := json.Marshal(posted{p.last})
	if err == nil {
		err = disk.Replace(disk.OS{}, p.path, append(b, '\n'), 0o640)
	}
	if err != nil {
		p.log.Warn("which report was sent last cannot be written; after a restart it may be sent again", zap.Error(err))
	}
}
