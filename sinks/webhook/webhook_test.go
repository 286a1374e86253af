package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

var (
	hit        = eventtest.HitOf
	hostileHit = eventtest.HostileHit
	alert      = eventtest.AlertOf
)

func config(kind string) Config {
	cfg := DefaultConfig()
	cfg.Kind, cfg.URL = kind, "https://hooks.example.net/T0/secret"
	cfg.Mail.Server, cfg.Mail.From, cfg.Mail.To = "127.0.0.1:25", "flowsnitch@example.net", []string{"noc@example.net"}
	return cfg
}

func newHook(t *testing.T, cfg Config) *Hook {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// recorder takes the place of the network.
type recorder struct {
	sent []string // the subjects of each message
	at   []time.Time
	errs []error // of the next attempts
}

func (r *recorder) deliver(_ context.Context, m *notice.Message) error {
	if len(r.errs) > 0 {
		err := r.errs[0]
		r.errs = r.errs[1:]
		if err != nil {
			return err
		}
	}
	var doc struct {
		Notices []struct {
			Event struct {
				Flowsnitch struct {
					Alert, Offender, Reason string
					Rule                    struct{ Group struct{ Inside string } }
				}
			}
			Events int
			News   string
		}
	}
	if b, err := m.JSON(); err != nil || json.Unmarshal(b, &doc) != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	var names []string
	for _, s := range m.Subjects() {
		events, news := 0, ""
		for _, n := range doc.Notices {
			if e := n.Event.Flowsnitch; e.Alert == s.Alert && e.Offender == s.Offender.String() && (s.Reason == "" || e.Reason == s.Reason || s.Reason == "inside "+e.Rule.Group.Inside) {
				events, news = n.Events, n.News
			}
		}
		names = append(names, fmt.Sprintf("%s%s x%d: %s", s.Alert, s.Offender, events, news))
	}
	r.sent, r.at = append(r.sent, strings.Join(names, ", ")), append(r.at, time.Now())
	return nil
}

func recorded(t *testing.T, cfg Config) (*Hook, *recorder) {
	h, r := newHook(t, cfg), &recorder{}
	h.deliver = r.deliver
	return h, r
}

func send(t *testing.T, h *Hook, events ...event.Event) {
	t.Helper()
	if err := h.Send(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// pass lets time pass as the queue does while the hook holds events.
func pass(t *testing.T, h *Hook, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if h.Held() == 0 {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(min(time.Second, time.Until(end)))
		send(t, h)
	}
}

// with gives a changed event.
func with(e event.Event, change func(*event.Event)) event.Event {
	change(&e)
	return e
}

// TestWhatIsTold: the first of an incident, what makes it worse, alerts, and all of it again
// after a while; nothing else, and one message an interval.
func TestWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		in := func(n int, s event.Severity, a event.Answered) event.Event {
			return with(hit(n, s), func(e *event.Event) { e.Direction, e.Answered = event.Inbound, a })
		}
		canary := with(hit(9, event.Critical), func(e *event.Event) { e.Kind = event.KindCanary })
		step := func(want string, events ...event.Event) {
			t.Helper()
			r.sent = nil
			send(t, h, events...)
			pass(t, h, time.Minute)
			if got := strings.Join(r.sent, "; "); got != want || h.Held() != 0 {
				t.Errorf("got %q, want %q, %d held", got, want, h.Held())
			}
		}
		step("", hit(0, event.Medium), canary)
		step("203.0.113.1 x2: severity rose from high to critical", in(0, event.High, event.AnsweredNo), in(1, event.Low, event.AnsweredNo), in(0, event.Critical, event.AnsweredNo))
		step("", in(0, event.Critical, event.AnsweredNo), in(0, event.High, event.AnsweredUnknown))
		step("203.0.113.1 x1: answered, where it was not before", in(0, event.High, event.AnsweredYes))
		step("", in(0, event.Critical, event.AnsweredYes))
		step("203.0.113.1 x1: called by a host of ours, where it was only seen to come in before", hit(0, event.High))
		step("", hit(0, event.Critical))
		step("own_address_listed198.51.100.7 x1: alert, own_address_listed198.51.100.7 x1: alert", alert("own_address_listed", "by otx"), alert("own_address_listed", "x"))
		step("", alert("own_address_listed", "by otx"))
		swarm := func(host, reason string, doubled bool) event.Event {
			e := eventtest.RuleAlert()
			r := *e.Rule
			r.Group, r.Update = []event.RuleField{{Field: "inside", Value: host}}, doubled
			e.Rule, e.Reason, e.Offender = &r, reason, netip.MustParseAddr("203.0.113.50")
			return e
		}
		step("rule_swarm203.0.113.50 x1: alert, rule_swarm203.0.113.50 x1: alert", swarm("192.0.2.25", "89 sources", false), swarm("192.0.2.26", "89 sources", false))
		step("", swarm("192.0.2.25", "91 sources", false))
		step("rule_swarm203.0.113.50 x1: at least twice as many as in the last alert", swarm("192.0.2.25", "178 sources", true))
		step("203.0.113.2 x1: first contact", with(hit(1, event.High), func(e *event.Event) { e.Kind = event.KindUpdate }))
		step("203.0.113.3 x1: first contact, before it was listed", with(hit(2, event.High), func(e *event.Event) { e.Retro = true }))
		last := time.Now().Add(-time.Minute)
		pass(t, h, 24*time.Hour)
		step("203.0.113.2 x1: again, last reported on "+last.Add(-time.Minute).UTC().Format(time.DateTime)+" UTC", hit(1, event.High))
	})
}

// TestHandled: an incident that somebody has taken, or that is a false alarm, is not reported
// again and again, but when it gets worse; nor does a clock that was years ahead keep anything back.
func TestHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(KindJSON)
		var handled []netip.Addr
		cfg.Handled = func(_ context.Context, a netip.Addr) bool { return slices.Contains(handled, a) }
		h, r := recorded(t, cfg)
		a, b := hit(0, event.High), hit(1, event.High)
		send(t, h, a, b)
		handled = []netip.Addr{a.Offender}
		time.Sleep(25 * time.Hour)
		send(t, h, a, b)
		if len(r.sent) != 2 || strings.Contains(r.sent[1], a.Offender.String()+" ") || !strings.Contains(r.sent[1], b.Offender.String()) {
			t.Errorf("sent %q", r.sent)
		}
		time.Sleep(time.Hour)
		send(t, h, with(a, func(e *event.Event) { e.Severity = event.Critical }))
		if len(r.sent) != 3 || !strings.Contains(r.sent[2], "severity rose") {
			t.Errorf("sent %q", r.sent)
		}
		fact, _ := h.memory.Of(remembered(notice.Of(&b)))
		fact.At = fact.At.AddDate(3, 0, 0)
		h.memory.Note(remembered(notice.Of(&b)), fact)
		time.Sleep(time.Hour)
		send(t, h, b)
		if len(r.sent) != 4 {
			t.Errorf("sent %q", r.sent)
		}
	})
}

// TestSlow: a service that takes its time for each of the documents of a message gets all of
// them; the timeout is that of one.
func TestSlow(t *testing.T) {
	got := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got++
		time.Sleep(300 * time.Millisecond)
		w.WriteHeader(202)
	}))
	defer s.Close()
	cfg := config(KindTemplate)
	cfg.Template, cfg.RoutingKey, cfg.URL, cfg.Timeout = "pagerduty", "k", secret.Text(s.URL), time.Second
	var events []event.Event
	for n := range 9 {
		events = append(events, hit(n, event.High))
	}
	send(t, newHook(t, cfg), events...)
	if got != 6 {
		t.Errorf("%d documents", got)
	}
}

// TestInterval: the first message goes at once, the next when the interval is over, with all
// that has come; what waits stays in the journal.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		begin := time.Now()
		send(t, h, hit(0, event.High))
		send(t, h, hit(1, event.Low), hit(1, event.High), hit(1, event.Low))
		if h.Held() != 2 { // from the first that waits
			t.Errorf("%d held", h.Held())
		}
		pass(t, h, 30*time.Second)
		send(t, h, hit(2, event.Critical), hit(1, event.High))
		if h.Held() != 4 || len(r.sent) != 1 {
			t.Errorf("%d held, %q", h.Held(), r.sent)
		}
		pass(t, h, time.Minute)
		if want := "203.0.113.2 x2: first contact, 203.0.113.3 x1: first contact"; len(r.sent) != 2 || r.sent[1] != want || r.at[1].Sub(begin) != time.Minute || h.Held() != 0 {
			t.Errorf("%q at %v, %d held", r.sent, r.at, h.Held())
		}
		send(t, h, hit(3, event.High))
		if err := h.Close(t.Context()); err != nil || len(r.sent) != 3 || h.Held() != 0 {
			t.Errorf("%v, %q", err, r.sent)
		}
	})
}

// follow lets a hook follow a journal in memory.
func follow(t *testing.T, h *Hook) (*journal.Journal, *sinks.Runner) {
	t.Helper()
	jc := journal.DefaultConfig()
	jc.Durability = journal.InMemory
	j, _, err := journal.Open(jc)
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	q, err := sinks.NewRunner(j, h, sinks.DefaultRunnerConfig())
	if err != nil {
		t.Fatal(err)
	}
	q.Start()
	return j, q
}

// flood runs a hook behind a journal for events at a pace, and stops both.
func flood(t *testing.T, h *Hook, events []event.Event, pace time.Duration) {
	t.Helper()
	j, q := follow(t, h)
	for some := range slices.Chunk(events, 20) {
		if err := j.Append(some); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * pace)
	}
	time.Sleep(2 * time.Minute)
	if s := q.Stats(); s.Pending != 0 || s.Held != 0 || s.Dropped+s.Failed != 0 || s.Delivered != uint64(len(events)) {
		t.Errorf("%+v", s)
	}
	if err := errors.Join(q.Stop(t.Context()), j.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestStorm: 10,000 incidents in a minute are a handful of messages, of which the last says
// how many are not named; a restart repeats nothing of it.
func TestStorm(t *testing.T) {
	const incidents = 10_000
	synctest.Test(t, func(t *testing.T) {
		cfg := config(KindMail)
		cfg.StateDir = t.TempDir()
		var events []event.Event
		for n := range incidents {
			e := hit(n, event.High)
			e.Offender = netip.AddrFrom4([4]byte{100, 64 + byte(n>>16), byte(n >> 8), byte(n)})
			e.Severity += event.Severity(n / 9_990) // the gravest come last, and must be named
			events = append(events, e)
		}
		h := newHook(t, cfg)
		var texts []string
		named := 0
		h.deliver = func(_ context.Context, m *notice.Message) error {
			texts = append(texts, m.Text(func(s string) string { return s }))
			named += len(m.Subjects())
			return nil
		}
		flood(t, h, events, time.Minute/incidents)
		last := texts[len(texts)-1]
		shown := strings.Count(last, " contact with ")
		if len(texts) > 4 || named != incidents || shown != 20 || strings.Count(last, "critical contact with ") != 10 ||
			!strings.Contains(last, fmt.Sprintf("\n%d more are not named here", h.Stats().Unnamed)) || h.Stats().Reported != incidents {
			t.Errorf("%d messages about %d, %d named in the last, %+v:\n%.300s…\n%s", len(texts), named, shown, h.Stats(), last, last[max(0, len(last)-100):])
		}
		t.Logf("%d incidents: %d messages, the last of %d bytes, it ends in %q", incidents, len(texts), len(last), last[strings.LastIndex(strings.TrimSpace(last), "\n")+1:])
		again := newHook(t, cfg)
		again.deliver = func(context.Context, *notice.Message) error { t.Error("reported again"); return nil }
		flood(t, again, events[:500], 0)
	})
}

// TestOutage: while the service is away nothing is lost, and all of it comes in one message
// when it is back.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		begin := time.Now()
		deliver := h.deliver
		h.deliver = func(ctx context.Context, m *notice.Message) error {
			if d := time.Since(begin); d > 10*time.Second && d < 10*time.Minute {
				return &sinks.RetryError{Err: errors.New("away")}
			}
			return deliver(ctx, m)
		}
		var events []event.Event
		for n := range 100 {
			events = append(events, hit(n, event.High))
		}
		j, q := follow(t, h)
		for i := range events {
			if err := j.Append(events[i : i+1]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if s := q.Stats(); s.Failing == 0 || s.Errors > 50 {
			t.Errorf("%+v", s)
		}
		time.Sleep(15 * time.Minute)
		if err := errors.Join(q.Stop(t.Context()), j.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		if all := strings.Join(r.sent, ", "); strings.Count(all, "203.0.113.") != 100 || len(r.sent) > 3 {
			t.Errorf("%d messages: %s", len(r.sent), all)
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		away := &sinks.RetryError{Err: errors.New("away")}
		r.errs = []error{away, nil, errors.New("refused"), away}
		events := []event.Event{hit(0, event.High)}
		err := h.Send(t.Context(), events)
		if retry, ok := errors.AsType[*sinks.RetryError](err); !ok || retry.Sent != 0 || retry.Err.Error() != "webhook:json: away" || h.Held() != 0 {
			t.Errorf("got %v", err)
		}
		send(t, h, events...) // at once, the queue has its own pause
		send(t, h, hit(1, event.High), hit(1, event.High))
		time.Sleep(time.Minute)
		err = h.Send(t.Context(), nil)
		if refused, ok := errors.AsType[*sinks.RefusedError](err); !ok || refused.Count != 2 || refused.Err.Error() != "webhook:json: refused" || h.Held() != 0 {
			t.Errorf("got %v", err)
		}
		send(t, h, hit(1, event.High), hit(2, event.High))
		time.Sleep(time.Minute)
		err = h.Send(t.Context(), []event.Event{hit(3, event.High)})
		if retry, ok := errors.AsType[*sinks.RetryError](err); !ok || retry.Sent != -2 || h.Held() != 0 {
			t.Errorf("got %v", err)
		}
		send(t, h, hit(1, event.High), hit(2, event.High), hit(3, event.High))
		if len(r.sent) != 2 || strings.Count(r.sent[1], "x1") != 3 {
			t.Errorf("sent %q", r.sent)
		}
	})
}

// TestMemory: what was reported is known after a restart; a damaged file is said, and begins
// anew.
func TestMemory(t *testing.T) {
	cfg := config(KindJSON)
	cfg.Name, cfg.StateDir = "../noc team", t.TempDir()
	h, r := recorded(t, cfg)
	send(t, h, hit(0, event.High), alert("a", "b"))
	h, r2 := recorded(t, cfg)
	send(t, h, hit(0, event.High), alert("a", "b"))
	send(t, h, hit(0, event.Critical))
	if len(r.sent) != 1 || len(r2.sent) != 1 || !strings.Contains(r2.sent[0], "severity rose from high to critical") {
		t.Errorf("%q, %q", r.sent, r2.sent)
	}
	files, err := filepath.Glob(filepath.Join(cfg.StateDir, "*"))
	if err != nil || len(files) != 1 || !strings.HasPrefix(filepath.Base(files[0]), "notified-___noc_team-") {
		t.Fatalf("%q, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, r = recorded(t, cfg)
	send(t, h, hit(0, event.High))
	if s := h.Stats(); len(r.sent) != 1 || s.MemoryErrors != 1 || !strings.Contains(s.LastError, "is damaged") || s.Messages != 1 || s.Reported != 1 {
		t.Errorf("%q, %+v", r.sent, s)
	}
	if err := os.RemoveAll(cfg.StateDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.StateDir, nil, 0o600); err != nil { // nothing can be written there
		t.Fatal(err)
	}
	h, _ = recorded(t, cfg)
	send(t, h, hit(0, event.High))
	if s := h.Stats(); s.MemoryErrors != 2 || s.Messages != 1 {
		t.Errorf("%+v", s)
	}
}

// TestMessageIsBounded: a message has as many subjects as can be remembered; the events of
// others are counted.
func TestMessageIsBounded(t *testing.T) {
	h, _ := recorded(t, config(KindJSON))
	h.last = time.Now()
	h.cfg.Interval = time.Hour
	for n := range maxSubjects + 100 {
		e := hit(0, event.High)
		e.Offender = netip.AddrFrom4([4]byte{1, byte(n >> 16), byte(n >> 8), byte(n)})
		send(t, h, e)
	}
	if h.next.Named() != 20 || h.next.Unnamed() != maxSubjects+80 || len(h.next.Subjects()) != maxSubjects || h.Held() != maxSubjects+100 {
		t.Errorf("%d, %d, %d, %d", h.next.Named(), h.next.Unnamed(), len(h.next.Subjects()), h.Held())
	}
}

// server answers with code and keeps what it got.
func server(t *testing.T, code int) (url string, got *http.Request, body *[]byte) {
	got, body = &http.Request{}, &[]byte{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = *r
		*body, _ = io.ReadAll(r.Body)
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(code)
	}))
	t.Cleanup(s.Close)
	return s.URL, got, body
}

func TestPostJSON(t *testing.T) {
	url, got, body := server(t, 204)
	cfg := config(KindJSON)
	cfg.URL, cfg.Token = secret.Text(url+"/hook?x=1"), "t0ken"
	send(t, newHook(t, cfg), hostileHit(), hit(1, event.High))
	if got.Method != "POST" || got.URL.String() != "/hook?x=1" || got.Header.Get("Authorization") != "Bearer t0ken" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s %v", got.Method, got.URL, got.Header)
	}
	var doc struct {
		Title   string
		Notices []struct {
			Event struct {
				Integration string
				Flowsnitch  struct{ Offender string }
			}
			Events int
			Locals []string
			Do     string `json:"what_to_do"`
		}
	}
	if err := json.Unmarshal(*body, &doc); err != nil {
		t.Fatal(err)
	}
	n := doc.Notices
	if len(n) != 2 || n[0].Event.Flowsnitch.Offender != "203.0.113.1" || n[0].Event.Integration != "flowsnitch" || n[0].Events != 1 ||
		!slices.Equal(n[1].Locals, []string{"10.0.0.5"}) || n[1].Do == "" || !strings.HasPrefix(doc.Title, "flowsnitch pi: critical contact with 203.0.113.1 and 1 more") {
		t.Errorf("got %+v", doc)
	}
}

func TestPostSlack(t *testing.T) {
	url, _, body := server(t, 200)
	cfg := config(KindSlack)
	cfg.URL = secret.Text(url)
	a := alert("*@channel* _x_", "y")
	a.Severity = event.Critical
	send(t, newHook(t, cfg), hostileHit(), a)
	var doc map[string]string
	if err := json.Unmarshal(*body, &doc); err != nil || len(doc) != 1 {
		t.Fatalf("%v in %s", err, *body)
	}
	text := doc["text"]
	if strings.ContainsAny(text, "<>") || !strings.Contains(text, "x'@channel &lt;!here&gt;") {
		t.Errorf("got %s", text)
	}
	for i, part := range strings.Split(text, "`") { // outside of code
		if i%2 == 0 && strings.ContainsAny(part, "@*_") {
			t.Errorf("%q is not in code", part)
		}
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\n' {
			t.Errorf("%U in %s", r, text)
		}
	}
}

func TestPostCodes(t *testing.T) {
	for code, again := range map[int]bool{301: false, 400: false, 401: true, 403: true, 404: true, 408: true, 410: true, 413: false, 422: false, 429: true, 500: true, 503: true} {
		url, _, _ := server(t, code)
		cfg := config(KindJSON)
		cfg.URL = secret.Text(url + "/secret")
		err := newHook(t, cfg).Send(t.Context(), []event.Event{hit(0, event.High)})
		_, retry := errors.AsType[*sinks.RetryError](err)
		if err == nil || retry != again || !strings.Contains(err.Error(), fmt.Sprint(code)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: got %v", code, err)
		}
	}
}

// TestPostFailures holds that everything below HTTP is tried again, within the
// timeout, and that no error shows a secret.
func TestPostFailures(t *testing.T) {
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hang.Close()
	defer close(release)
	file := filepath.Join(t.TempDir(), "url")
	for name, change := range map[string]func(*Config){
		"nobody there": func(c *Config) { c.URL = "http://127.0.0.1:1/s3cret" },
		"no host":      func(c *Config) { c.URL = "http://nobody.invalid/s3cret" },
		"hangs":        func(c *Config) { c.URL = secret.Text(hang.URL + "/s3cret") },
		"no file":      func(c *Config) { c.URL, c.URLFile = "", file },
		"no token":     func(c *Config) { c.TokenFile = file },
	} {
		cfg := config(KindJSON)
		cfg.Timeout = time.Second
		change(&cfg)
		h := newHook(t, cfg)
		err := h.Send(t.Context(), []event.Event{hit(0, event.High)})
		if _, ok := errors.AsType[*sinks.RetryError](err); !ok || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestURLFile(t *testing.T) {
	url, got, _ := server(t, 200)
	cfg := config(KindJSON)
	cfg.URL, cfg.URLFile, cfg.TokenFile = "", filepath.Join(t.TempDir(), "url"), filepath.Join(t.TempDir(), "token")
	if err := errors.Join(os.WriteFile(cfg.URLFile, []byte(url+"/x\n"), 0o600), os.WriteFile(cfg.TokenFile, []byte("t\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	send(t, newHook(t, cfg), hit(0, event.High))
	if got.URL.Path != "/x" || got.Header.Get("Authorization") != "Bearer t" {
		t.Errorf("got %s %v", got.URL, got.Header)
	}
}

// TestKindMail: kind mail sends by the server of its block, see package mail.
func TestKindMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(KindMail)
	cfg.Mail.Server, cfg.Mail.TLS = l.Addr().String(), mail.TLSNone
	go func() {
		defer l.Close()
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "421 busy\r\n")
			_ = c.Close()
		}
	}()
	err = newHook(t, cfg).Send(t.Context(), []event.Event{hit(0, event.High)})
	if _, retry := errors.AsType[*sinks.RetryError](err); !retry || !strings.HasPrefix(err.Error(), "webhook:mail: mail by "+cfg.Mail.Server+": 421 ") {
		t.Errorf("got %v", err)
	}
}
