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
				Flowsnitch struct{ Alert, Offender, Reason string }
			}
			Events int
		}
	}
	if b, err := m.JSON(); err != nil || json.Unmarshal(b, &doc) != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	var names []string
	for _, s := range m.Subjects() {
		events := 0
		for _, n := range doc.Notices {
			if e := n.Event.Flowsnitch; e.Alert == s.Alert && e.Offender == s.Offender.String() && (s.Reason == "" || e.Reason == s.Reason) {
				events = n.Events
			}
		}
		names = append(names, fmt.Sprintf("%s%s x%d", s.Alert, s.Offender, events))
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
		m := &notice.Message{}
		for n := range maxTold / 2 {
			e := hit(i*maxTold+n, event.High)
			e.Offender = netip.AddrFrom4([4]byte{1, byte(i), byte(n >> 8), byte(n)})
			m.Add(&e)
		}
		h.remember(m)
	}
	if len(h.told) != maxTold || len(h.order) != maxTold {
		t.Errorf("%d and %d", len(h.told), len(h.order))
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
