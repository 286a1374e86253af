package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// hit makes an event of the nth offender.
func hit(n int, severity event.Severity) event.Event {
	offender := netip.AddrFrom4([4]byte{203, 0, byte(113 + n/250), byte(1 + n%250)})
	e := eventtest.Hit()
	e.ID, e.ExporterName, e.Time, e.Dst, e.Offender, e.Severity = uuid.Nil, "", e.Time.Truncate(time.Second), offender, offender, severity
	e.Reason, e.Indicators = "c2 listed by feodo (90); outbound, answered", e.Indicators[:1]
	best := &e.Indicators[0]
	best.Prefix, best.Description, best.FirstSeen, best.LastSeen = netip.PrefixFrom(offender, 32), "botnet", time.Time{}, time.Time{}
	return e
}

func alert(name, reason string) event.Event {
	return event.Event{Kind: event.KindAlert, Alert: name, Reason: reason, Sensor: "pi-oslo", Severity: event.Medium,
		Offender: netip.MustParseAddr("198.51.100.7")}
}

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

func (r *recorder) deliver(_ context.Context, m *message) error {
	if len(r.errs) > 0 {
		err := r.errs[0]
		r.errs = r.errs[1:]
		if err != nil {
			return err
		}
	}
	var names []string
	for _, n := range m.notices {
		names = append(names, fmt.Sprintf("%s%s x%d", n.subject.alert, n.subject.offender, n.events))
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

func TestWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		start := time.Now()
		canary := hit(9, event.Critical)
		canary.Kind = event.KindCanary
		send(t, h, hit(0, event.Medium), canary)                                            // nothing
		send(t, h, hit(0, event.High), hit(1, event.Low), hit(0, event.Critical))           // one, twice
		send(t, h, hit(0, event.Critical))                                                  // told already
		send(t, h, alert("own_address_listed", "by otx"), alert("own_address_listed", "x")) // two
		update := hit(1, event.High)
		update.Kind = event.KindUpdate
		send(t, h, update) // it has become grave
		time.Sleep(24 * time.Hour)
		send(t, h, hit(0, event.High)) // again after a day
		want := []string{"203.0.113.1 x2", "own_address_listed198.51.100.7 x1, own_address_listed198.51.100.7 x1", "203.0.113.2 x1", "203.0.113.1 x1"}
		if !slices.Equal(r.sent, want) {
			t.Errorf("got %q, want %q", r.sent, want)
		}
		for i, at := range []time.Duration{0, time.Minute, 2 * time.Minute, 24*time.Hour + 2*time.Minute} {
			if got := r.at[i].Sub(start); got != at {
				t.Errorf("message %d after %v, want %v", i, got, at)
			}
		}
	})
}

// TestFlood holds that a journal in front makes one message a minute of whatever comes,
// and loses none.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		jc := journal.DefaultConfig()
		jc.Durability = journal.InMemory
		j, _, err := journal.Open(jc)
		if err != nil {
			t.Fatal(err)
		}
		j.Start()
		cfg := sinks.DefaultRunnerConfig()
		cfg.Batch, cfg.Timeout = 5000, 0
		q, err := sinks.NewRunner(j, h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		q.Start()
		for n := range 1000 {
			if err := j.Append([]event.Event{hit(n, event.High), hit(n, event.Critical)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(4 * time.Minute) // a batch ends with a chunk of the journal: the rest goes a minute later
		if err := errors.Join(q.Stop(t.Context()), j.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		told := 0
		for _, m := range r.sent {
			told += strings.Count(m, " x")
		}
		if told != 1000 || len(r.sent) > 5 {
			t.Errorf("%d offenders in %d messages", told, len(r.sent))
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := recorded(t, config(KindJSON))
		r.errs = []error{&sinks.RetryError{Err: errors.New("away")}, nil, errors.New("refused")}
		events := []event.Event{hit(0, event.High)}
		err := h.Send(t.Context(), events)
		if retry, ok := errors.AsType[*sinks.RetryError](err); !ok || retry.Sent != 0 || retry.Err.Error() != "webhook:json: away" {
			t.Errorf("got %v", err)
		}
		send(t, h, events...) // at once, the queue has its own pause
		if len(r.sent) != 1 {
			t.Errorf("sent %q", r.sent)
		}
		if err := h.Send(t.Context(), []event.Event{hit(1, event.High)}); err == nil || err.Error() != "webhook:json: refused" {
			t.Errorf("got %v", err)
		}
		send(t, h, hit(1, event.High)) // a new contact is told, but a minute later
		if len(r.sent) != 2 || r.at[1].Sub(r.at[0]) != 2*time.Minute {
			t.Errorf("sent %q at %v", r.sent, r.at)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err = h.Send(ctx, []event.Event{hit(2, event.High)})
		if _, ok := errors.AsType[*sinks.RetryError](err); !ok || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestToldIsBounded(t *testing.T) {
	h, _ := recorded(t, config(KindJSON))
	for i := range 3 {
		m := &message{at: map[subject]int{}}
		for n := range maxTold / 2 {
			e := hit(i*maxTold+n, event.High)
			e.Offender = netip.AddrFrom4([4]byte{1, byte(i), byte(n >> 8), byte(n)})
			m.add(subjectOf(&e), &e)
		}
		h.remember(m)
	}
	if len(h.told) != maxTold || len(h.order) != maxTold {
		t.Errorf("%d and %d", len(h.told), len(h.order))
	}
}

// hostile is what feeds could say to people.
const hostile = "x`@channel <!here> <https://evil.example|click> \x1b[2J\r\nBcc: a@b\r\n.\r\n\u202e & *b* 👍"

func hostileHit() event.Event {
	e := hit(0, event.Critical)
	e.Reason, e.Sensor = hostile, "pi"
	in := &e.Indicators[0]
	in.Feed, in.Category, in.Ref, in.Description = hostile, hostile, hostile, hostile+strings.Repeat("A", 10_000)
	return e
}

func messageOf(events ...event.Event) *message {
	m := &message{at: map[subject]int{}}
	for i := range events {
		m.add(subjectOf(&events[i]), &events[i])
	}
	return m
}

func TestText(t *testing.T) {
	second := hit(1, event.High)
	second.Local = netip.MustParseAddr("10.0.0.6")
	m := messageOf(second, hit(0, event.Critical), hit(0, event.Critical), alert("own_address_listed", "ours is listed"))
	if got, want := m.title(), "flowsnitch pi-oslo: critical contact with 203.0.113.1 and 2 more"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	text := m.text(func(s string) string { return "[" + s + "]" })
	for _, want := range []string{
		"critical contact with 203.0.113.1 (score 95)\nWhy: [c2 listed by feodo (90); outbound, answered]\nTrigger: [20",
		" 10.0.0.5:51515 -> 203.0.113.1:443 (TCP) critical feodo https://example.net/9]\n",
		"Evidence: [203.0.113.1/32 by feodo (90), c2, https://example.net/9, botnet]\nOur side: 10.0.0.5 (2 events)\nSensor: [pi-oslo], exporter 192.0.2.1\n",
		"What to do: Find what talks on 10.0.0.5, ",
		"medium alert [own_address_listed]\nWhy: [ours is listed]\n",
		"then ask the feed to remove it.\n",
	} {
		if !strings.Contains(strings.ReplaceAll(text, "  ", " "), want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Index(text, "203.0.113.1 ") > strings.Index(text, "203.0.113.2 ") {
		t.Errorf("the gravest is not the first:\n%s", text)
	}
}

func TestTextIsBounded(t *testing.T) {
	var events []event.Event
	for n := range 500 {
		e := hostileHit()
		e.Offender = hit(n, event.High).Offender
		e.Indicators = slices.Repeat(e.Indicators, 100)
		for l := range 50 {
			e.Local = netip.AddrFrom4([4]byte{10, 0, 0, byte(l)})
			events = append(events, e)
		}
	}
	m := messageOf(events...)
	text := m.text(func(s string) string { return s })
	if len(text) > 400_000 || !strings.Contains(text, "480 more are not shown here") || !strings.Contains(text, "and more (50 events)") {
		t.Errorf("%d bytes: %.3000s", len(text), text)
	}
}

func TestAdvice(t *testing.T) {
	for want, change := range map[string]func(*event.Event){
		"Find what talks on 10.0.0.5, ":                func(*event.Event) {},
		"The border dropped it, but 10.0.0.5 tried":    func(e *event.Event) { e.Blocked = true },
		"10.0.0.5 answered: read its logs":             func(e *event.Event) { e.Direction = event.Inbound },
		"Nothing is known to have answered; block 203": func(e *event.Event) { e.Direction, e.Answered = event.Inbound, event.AnsweredNo },
		"Neither end is ours":                          func(e *event.Event) { e.Direction = event.Transit },
		"Find what talks on our host":                  func(e *event.Event) { e.Local = netip.Addr{} },
		"One of our own addresses is listed":           func(e *event.Event) { *e = alert("own_address_listed", "") },
		"One entry of a feed matches an absurd share":  func(e *event.Event) { *e = alert("entry_quarantined", "") },
		"The last good copy stays in use":              func(e *event.Event) { *e = alert("feed_held_back", "") },
		"See `flowsnitch status` and the log":          func(e *event.Event) { *e = alert("other", "") },
	} {
		e := hit(0, event.High)
		change(&e)
		if got := advice(&e); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
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
	send(t, newHook(t, cfg), hostileHit())
	var doc map[string]string
	if err := json.Unmarshal(*body, &doc); err != nil || len(doc) != 1 {
		t.Fatalf("%v in %s", err, *body)
	}
	text := doc["text"]
	if strings.ContainsAny(text, "<>") || !strings.Contains(text, "x'@channel &lt;!here&gt;") {
		t.Errorf("got %s", text)
	}
	for i, part := range strings.Split(text, "`") { // outside of code
		if i%2 == 0 && strings.ContainsAny(part, "@") {
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
	for code, again := range map[int]bool{301: false, 400: false, 401: false, 404: false, 408: true, 410: false, 429: true, 500: true, 503: true} {
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
		change(&cfg)
		h := newHook(t, cfg)
		h.cfg.Timeout = 100 * time.Millisecond
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
