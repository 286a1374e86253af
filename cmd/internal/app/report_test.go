package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
	post     *reportPost
	subjects []string
	periods  [][2]time.Time
	to       []string
	pages    []string
	texts    []string
	fails    error // of sending
	unsynced bool
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
		b.periods = append(b.periods, [2]time.Time{o.From, o.Until})
		o.Sensor, o.Now = "pi", time.Now()
		return report.Make(t.Context(), nothing{}, o)
	}, time.Now, func() bool { return b.unsynced }, zap.NewNop())
	b.post.send = func(_ context.Context, by mail.Config, subject, text string, files ...mail.File) error {
		if b.fails != nil {
			return b.fails
		}
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
		time.Sleep(24*time.Hour + postLook)
		if len(b.subjects) != 1 || b.to[0] != "noc@example.net" || !strings.HasPrefix(b.pages[0], "report-") {
			t.Fatalf("in the first day: %q to %q, %q", b.subjects, b.to, b.pages)
		}
		if p := b.periods[0]; p[1].Sub(p[0]) != 24*time.Hour || p[1].Hour() != 0 {
			t.Errorf("period %v", p)
		}
		b.stop(t)
		b = newMailbox(t, dir, "daily 07:00")
		time.Sleep(time.Hour)
		if len(b.subjects) != 0 {
			t.Errorf("after a restart %q", b.subjects)
		}
		b.stop(t)
		time.Sleep(5 * 24 * time.Hour)
		b = newMailbox(t, dir, "daily 07:00")
		time.Sleep(time.Hour)
		if len(b.subjects) != 1 {
			t.Errorf("after five days without flowsnitch: %q", b.subjects)
		}
		if s := b.post.status(); s.Missed != 4 || !strings.HasPrefix(b.texts[0], "4 earlier reports could not be sent") || !strings.Contains(b.texts[0], "flowsnitch report --since 2000-01-01 --until 2000-01-05\n") {
			t.Errorf("%+v, %.300s", s, b.texts[0])
		}
		b.unsynced = true
		time.Sleep(48 * time.Hour)
		if len(b.subjects) != 1 {
			t.Errorf("by a wrong clock: %q", b.subjects)
		}
		if s := b.post.status(); s.Due.IsZero() || s.Error != "the clock cannot be trusted" || s.Missed != 4 {
			t.Errorf("by a wrong clock: %+v", s)
		}
		b.unsynced = false
		time.Sleep(time.Hour)
		if s := b.post.status(); len(b.subjects) != 2 || !s.Due.IsZero() || s.Missed != 5 || strings.HasPrefix(b.texts[1], "4") {
			t.Errorf("by a clock that is right again: %q, %+v", b.subjects, s)
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
		b.fails = errors.New("450 later")
		late := reportCheck(b.post.status)
		for b.post.status().Due.IsZero() {
			time.Sleep(time.Minute)
		}
		if f := late.State(time.Now()); f.State != observe.OK {
			t.Errorf("at once: %+v", f)
		}
		time.Sleep(5 * time.Hour)
		if f := late.State(time.Now()); f.State != observe.Warning || !strings.Contains(f.Text, "450 later") {
			t.Errorf("after five hours: %+v", f)
		}
		if n := b.post.status().Failed; n < 5 || n > 15 {
			t.Errorf("%d attempts in five hours", n)
		}
		first := b.post.status().Due
		time.Sleep(48 * time.Hour)
		if s := b.post.status(); !s.Due.Equal(first) || s.Missed != 2 {
			t.Errorf("after two days: %+v, the first was due at %v", s, first)
		}
		if f := late.State(b.post.status().Due.Add(49 * time.Hour)); f.State != observe.Warning {
			t.Errorf("just after another was due: %+v", f)
		}
		b.fails = nil
		time.Sleep(postAtLatest + postLook)
		if s := b.post.status(); len(b.subjects) != 1 || !s.Due.IsZero() || s.Error != "" || s.Sent != 1 || s.Missed != 2 {
			t.Errorf("%q, %+v", b.subjects, s)
		}
		time.Sleep(24 * time.Hour)
		if s := b.post.status(); len(b.subjects) != 2 || s.Missed != 2 || strings.Contains(b.texts[1], "earlier") {
			t.Errorf("a day later: %q, %+v", b.subjects, s)
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
			time.Sleep(time.Minute)
			if len(b.subjects) != 0 {
				t.Errorf("%s: at once %q", name, b.subjects)
			}
			time.Sleep(24 * time.Hour)
			if len(b.subjects) != 1 {
				t.Errorf("%s: in a day %q", name, b.subjects)
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
		time.Sleep(24 * time.Hour)
		now := reportConfig(dir, "daily 09:00")
		now.Report.To = []string{"boss@example.net"}
		b.post.configure(now)
		time.Sleep(24*time.Hour + postLook)
		if len(b.subjects) != 1 || b.to[0] != "boss@example.net" {
			t.Errorf("%q to %q", b.subjects, b.to)
		}
		now.Report.Every = ""
		b.post.configure(now)
		time.Sleep(48 * time.Hour)
		if len(b.subjects) != 1 {
			t.Errorf("after it was turned off: %q", b.subjects)
		}
		now.Report.Every = "daily 09:00"
		b.post.configure(now)
		time.Sleep(time.Hour)
		if s := b.post.status(); len(b.subjects) != 1 || s.Missed != 0 {
			t.Errorf("turned on again: %q, %+v", b.subjects, s)
		}
		time.Sleep(24 * time.Hour)
		if len(b.subjects) != 2 {
			t.Errorf("a day later: %q", b.subjects)
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
		var ahead time.Duration
		b.post.now = func() time.Time { return time.Now().Add(ahead) }
		time.Sleep(24*time.Hour + postLook)
		ahead = 3 * 365 * 24 * time.Hour
		time.Sleep(time.Hour)
		sent := len(b.subjects)
		if sent != 2 {
			t.Errorf("by a clock that is ahead: %q", b.subjects)
		}
		ahead = 0
		time.Sleep(24*time.Hour + postLook)
		if len(b.subjects) != sent+1 {
			t.Errorf("by a clock that is right again: %d reports, there were %d", len(b.subjects), sent)
		}
		for time.Now().Hour() != 7 || time.Now().Minute() != 30 {
			time.Sleep(time.Minute)
		}
		sent = len(b.subjects)
		ahead = -time.Hour // before 07:00 again
		time.Sleep(2 * time.Hour)
		if len(b.subjects) != sent {
			t.Errorf("by a clock that was put back: %d reports, there were %d", len(b.subjects), sent)
		}
		b.stop(t)
	})
}
