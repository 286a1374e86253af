package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
	"go.uber.org/zap"
)

// A mailbox has the reports that were sent by mail.
type mailbox struct {
	post *reportPost
	mu   sync.Mutex
	mailed
	fails    atomic.Pointer[error] // of sending
	unsynced atomic.Bool
	ahead    atomic.Int64 // of the clock
}

// mailed is what has been sent.
type mailed struct {
	subjects []string
	periods  [][2]time.Time
	to       []string
	pages    []string
	texts    []string
}

// got gives what has been sent so far.
func (b *mailbox) got() mailed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return mailed{slices.Clone(b.subjects), slices.Clone(b.periods), slices.Clone(b.to), slices.Clone(b.pages), slices.Clone(b.texts)}
}

func reportConfig(dir, every string) *configs.Config {
	cfg := configs.Default()
	cfg.StateDir = dir
	cfg.Sinks = []configs.Sink{{Webhook: &webhook.Config{Kind: webhook.KindMail, Mail: mail.Config{Server: "mail.example:25", To: []string{"soc@example.net"}}}}}
	cfg.Report.Every, cfg.Report.To = every, []string{"noc@example.net"}
	return &cfg
}

// newMailbox starts to send reports.
func newMailbox(t *testing.T, dir, every string) *mailbox {
	t.Helper()
	b := new(mailbox)
	b.post = newReportPost(reportConfig(dir, every), func(_ context.Context, o report.Options) (*report.Report, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.periods = append(b.periods, [2]time.Time{o.From, o.Until})
		o.Sensor, o.Now = "pi", time.Now()
		return report.Make(t.Context(), nothing{}, o)
	}, func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }, func() bool { return b.unsynced.Load() }, zap.NewNop())
	b.post.send = func(_ context.Context, by mail.Config, subject, text string, files ...mail.File) error {
		if err := b.fails.Load(); err != nil {
			return *err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.subjects, b.to, b.texts = append(b.subjects, subject), by.To, append(b.texts, text)
		for _, f := range files {
			b.pages = append(b.pages, f.Name)
		}
		if !strings.Contains(text, "IS IT ALIVE") {
			t.Errorf("text %q", text)
		}
		return nil
	}
	if err := b.post.start(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *mailbox) stop(t *testing.T) {
	t.Helper()
	if err := b.post.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// nothing is a store without an incident.
type nothing struct{ report.Source }

func (nothing) Period(context.Context, time.Time, time.Time) (*incident.Period, error) {
	return new(incident.Period), nil
}

func (nothing) List(context.Context, incident.Query) (p incident.Page[incident.Incident], err error) {
	return p, nil
}

func (nothing) Hosts(context.Context, incident.Query) (p incident.Page[incident.HostRow], err error) {
	return p, nil
}

// TestReportMail: a report goes out when it is due, once, also over restarts; after a long time
// without flowsnitch the last one does; at the first start none, and none by a wrong clock.
func TestReportMail(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMailbox(t, dir, "daily 07:00")
		settle(24*time.Hour + postLook)
		if len(b.got().subjects) != 1 || b.got().to[0] != "noc@example.net" || !strings.HasPrefix(b.got().pages[0], "report-") {
			t.Fatalf("in the first day: %q to %q, %q", b.got().subjects, b.got().to, b.got().pages)
		}
		if p := b.got().periods[0]; p[1].Sub(p[0]) != 24*time.Hour || p[1].Hour() != 0 {
			t.Errorf("period %v", p)
		}
		b.stop(t)
		b = newMailbox(t, dir, "daily 07:00")
		settle(time.Hour)
		if len(b.got().subjects) != 0 {
			t.Errorf("after a restart %q", b.got().subjects)
		}
		b.stop(t)
		settle(5 * 24 * time.Hour)
		b = newMailbox(t, dir, "daily 07:00")
		settle(time.Hour)
		if len(b.got().subjects) != 1 {
			t.Errorf("after five days without flowsnitch: %q", b.got().subjects)
		}
		if s := b.post.status(); s.Missed != 4 || !strings.HasPrefix(b.got().texts[0], "4 earlier reports could not be sent") || !strings.Contains(b.got().texts[0], "flowsnitch report --since 2000-01-01 --until 2000-01-05\n") {
			t.Errorf("%+v, %.300s", s, b.got().texts[0])
		}
		b.unsynced.Store(true)
		settle(48 * time.Hour)
		if len(b.got().subjects) != 1 {
			t.Errorf("by a wrong clock: %q", b.got().subjects)
		}
		if s := b.post.status(); s.Due.IsZero() || s.Error != "the clock cannot be trusted" || s.Missed != 4 {
			t.Errorf("by a wrong clock: %+v", s)
		}
		b.unsynced.Store(false)
		settle(time.Hour)
		if s := b.post.status(); len(b.got().subjects) != 2 || !s.Due.IsZero() || s.Missed != 5 || strings.HasPrefix(b.got().texts[1], "4") {
			t.Errorf("by a clock that is right again: %q, %+v", b.got().subjects, s)
		}
		b.stop(t)
	})
}

// TestReportMailFails: a report that cannot be sent is tried again, less and less often, a
// check warns after an hour, and it goes out in the end.
func TestReportMailFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMailbox(t, dir, "daily 07:00")
		later := errors.New("450 later")
		b.fails.Store(&later)
		late := reportCheck(b.post.status)
		for b.post.status().Due.IsZero() {
			settle(time.Minute)
		}
		if f := late.State(time.Now()); f.State != observe.OK {
			t.Errorf("at once: %+v", f)
		}
		settle(5 * time.Hour)
		if f := late.State(time.Now()); f.State != observe.Warning || !strings.Contains(f.Text, "450 later") {
			t.Errorf("after five hours: %+v", f)
		}
		if n := b.post.status().Failed; n < 5 || n > 15 {
			t.Errorf("%d attempts in five hours", n)
		}
		first := b.post.status().Due
		settle(48 * time.Hour)
		if s := b.post.status(); !s.Due.Equal(first) || s.Missed != 2 {
			t.Errorf("after two days: %+v, the first was due at %v", s, first)
		}
		if f := late.State(b.post.status().Due.Add(49 * time.Hour)); f.State != observe.Warning {
			t.Errorf("just after another was due: %+v", f)
		}
		b.fails.Store(nil)
		settle(postAtLatest + postLook)
		if s := b.post.status(); len(b.got().subjects) != 1 || !s.Due.IsZero() || s.Error != "" || s.Sent != 1 || s.Missed != 2 {
			t.Errorf("%q, %+v", b.got().subjects, s)
		}
		settle(24 * time.Hour)
		if s := b.post.status(); len(b.got().subjects) != 2 || s.Missed != 2 || strings.Contains(b.got().texts[1], "earlier") {
			t.Errorf("a day later: %q, %+v", b.got().subjects, s)
		}
		b.stop(t)
	})
}

// TestReportFile: a file that cannot be read, or a date of a clock that was ahead, sends no
// report twice and loses none for long.
func TestReportFile(t *testing.T) {
	for name, content := range map[string]string{"damaged": "{", "a year ahead": `{"last":"2090-01-01T00:00:00Z"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ReportFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newMailbox(t, dir, "daily 07:00")
			settle(time.Minute)
			if len(b.got().subjects) != 0 {
				t.Errorf("%s: at once %q", name, b.got().subjects)
			}
			settle(24 * time.Hour)
			if len(b.got().subjects) != 1 {
				t.Errorf("%s: in a day %q", name, b.got().subjects)
			}
			b.stop(t)
		})
	}
}

// TestReportReload: another time, other addresses and another server hold for the next report.
func TestReportReload(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMailbox(t, dir, "")
		settle(24 * time.Hour)
		now := reportConfig(dir, "daily 09:00")
		now.Report.To = []string{"boss@example.net"}
		b.post.configure(now)
		settle(24*time.Hour + postLook)
		if len(b.got().subjects) != 1 || b.got().to[0] != "boss@example.net" {
			t.Errorf("%q to %q", b.got().subjects, b.got().to)
		}
		now.Report.Every = ""
		b.post.configure(now)
		settle(48 * time.Hour)
		if len(b.got().subjects) != 1 {
			t.Errorf("after it was turned off: %q", b.got().subjects)
		}
		now.Report.Every = "daily 09:00"
		b.post.configure(now)
		settle(time.Hour)
		if s := b.post.status(); len(b.got().subjects) != 1 || s.Missed != 0 {
			t.Errorf("turned on again: %q, %+v", b.got().subjects, s)
		}
		settle(24 * time.Hour)
		if len(b.got().subjects) != 2 {
			t.Errorf("a day later: %q", b.got().subjects)
		}
		b.stop(t)
	})
}

// TestReportClock: a report that went out by a clock that was years ahead does not keep back
// those of today, while the program runs either, and a clock that is put back by less sends
// none twice.
func TestReportClock(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMailbox(t, dir, "daily 07:00")
		settle(24*time.Hour + postLook)
		b.ahead.Store(int64(3 * 365 * 24 * time.Hour))
		settle(time.Hour)
		sent := len(b.got().subjects)
		if sent != 2 {
			t.Errorf("by a clock that is ahead: %q", b.got().subjects)
		}
		b.ahead.Store(0)
		settle(24*time.Hour + postLook)
		if len(b.got().subjects) != sent+1 {
			t.Errorf("by a clock that is right again: %d reports, there were %d", len(b.got().subjects), sent)
		}
		for time.Now().Hour() != 7 || time.Now().Minute() != 30 {
			settle(time.Minute)
		}
		sent = len(b.got().subjects)
		b.ahead.Store(int64(-time.Hour)) // before 07:00 again
		settle(2 * time.Hour)
		if len(b.got().subjects) != sent {
			t.Errorf("by a clock that was put back: %d reports, there were %d", len(b.got().subjects), sent)
		}
		b.stop(t)
	})
}

// settle lets time pass, and everything that is due by then end.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
