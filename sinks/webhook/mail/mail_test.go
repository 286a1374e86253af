package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

// A mailServer speaks enough SMTP for our client: STARTTLS or TLS, AUTH PLAIN.
type mailServer struct {
	addr    string
	caFile  string
	tls     *tls.Config
	mode    string            // as Mail.TLS
	replies map[string]string // instead of the usual ones, by command
	silent  bool              // accepts and says nothing

	mu   sync.Mutex
	auth string
	to   []string
	data string
}

func newMailServer(t *testing.T, mode string, change ...func(*mailServer)) *mailServer {
	t.Helper()
	ca := authority.New(t)
	s := &mailServer{mode: mode, replies: map[string]string{}, caFile: ca.File}
	s.tls = &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "", time.Now().Add(time.Hour))}}
	for _, f := range change {
		f(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	return s
}

func (s *mailServer) serve(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if s.silent {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	if s.mode == TLSImplicit {
		c = tls.Server(c, s.tls)
	}
	r := bufio.NewReader(c)
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if reply, ok := s.replies[strings.TrimSpace(line)]; ok {
			say(reply)
			continue
		}
		if reply, ok := s.replies[verb]; ok {
			say(reply)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-test")
			if s.mode == TLSStart {
				say("250-STARTTLS")
			}
			say("250-AUTH PLAIN\r\n250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			t := tls.Server(c, s.tls)
			if t.Handshake() != nil {
				return
			}
			c, r = t, bufio.NewReader(t)
		case "AUTH":
			b, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			s.set(func() { s.auth = string(b) })
			say("235 welcome")
		case "RCPT":
			s.set(func() { s.to = append(s.to, rest) })
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			s.set(func() { s.data = data.String() })
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// got gives what the last client did.
func (s *mailServer) got() (auth string, to []string, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth, s.to, s.data
}

func (s *mailServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func mailConfig(s *mailServer) Config {
	cfg := Config{Server: s.addr, TLS: s.mode, CAFile: s.caFile, From: "flowsnitch@example.net", To: []string{"noc@example.net", "soc@example.net"}}
	if s.mode != TLSNone {
		cfg.User, cfg.Password = "flowsnitch", "s3cret"
	}
	return cfg
}

// send sends what people get of events.
func send(t *testing.T, cfg Config, within time.Duration, events ...event.Event) error {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	m := notice.Message{MaxTLP: 2}
	for i := range events {
		m.Add(&events[i], "first contact")
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return cfg.Send(ctx, m.Title(), m.Text(func(s string) string { return s }))
}

func TestMail(t *testing.T) {
	for _, mode := range []string{TLSStart, TLSImplicit, TLSNone} {
		s := newMailServer(t, mode)
		if err := send(t, mailConfig(s), time.Minute, eventtest.HostileHit(), eventtest.HitOf(1, event.High)); err != nil {
			t.Fatal(err)
		}
		auth, to, data := s.got()
		if want := map[bool]string{true: "\x00flowsnitch\x00s3cret"}[mode != TLSNone]; auth != want {
			t.Errorf("%s: logged in as %q", mode, auth)
		}
		if !slices.Equal(to, []string{"TO:<noc@example.net>", "TO:<soc@example.net>"}) {
			t.Errorf("%s: to %q", mode, to)
		}
		checkMail(t, data)
	}
}

// checkMail holds that the mail is well-formed and says what it must.
func checkMail(t *testing.T, data string) {
	t.Helper()
	for line := range strings.SplitSeq(data, "\n") {
		if len(line) > 998 || strings.IndexFunc(line, func(r rune) bool { return r > 126 || r < 32 && r != '\r' }) >= 0 {
			t.Errorf("line %q", line)
		}
	}
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Header) != 9 || m.Header.Get("Bcc") != "" || m.Header.Get("Subject") != "flowsnitch pi: critical contact with 203.0.113.1 and 1 more" {
		t.Errorf("headers %v", m.Header)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Errorf("to %v, %v", to, err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "What to do: Find what talks on 10.0.0.5") || !strings.Contains(string(body), "👍") || strings.Contains(string(body), "\nBcc:") {
		t.Errorf("%v: %s", err, body)
	}
}

func TestMailRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mode  string
		set   func(*mailServer)
		again bool
		want  string
	}{
		{"wrong password", TLSStart, func(s *mailServer) { s.replies["AUTH"] = "535 s3cret is wrong" }, true, "log in as flowsnitch: refused with 535"},
		{"no STARTTLS", TLSStart, func(s *mailServer) { s.mode = TLSNone }, true, "does not offer STARTTLS, nothing was sent"},
		{"foreign certificate", TLSStart, func(s *mailServer) { s.caFile = newMailServer(t, TLSNone).caFile }, true, "certificate"},
		{"sender refused", TLSStart, func(s *mailServer) { s.replies["MAIL"] = "550 no" }, false, "550"},
		{"all recipients refused", TLSStart, func(s *mailServer) { s.replies["RCPT"] = "550 nobody" }, false, "to soc@example.net: 550"},
		{"greylisted", TLSStart, func(s *mailServer) { s.replies["RCPT"] = "450 later" }, true, "450"},
		{"too busy", TLSStart, func(s *mailServer) { s.replies["EHLO"], s.replies["HELO"] = "421 busy", "421 busy" }, true, "421"},
		{"silent", TLSNone, func(s *mailServer) { s.silent = true }, true, "deadline exceeded"},
	} {
		s := newMailServer(t, tc.mode, tc.set)
		cfg := mailConfig(s)
		if cfg.TLS = tc.mode; tc.mode == TLSStart {
			cfg.User, cfg.Password = "flowsnitch", "s3cret"
		}
		within := time.Minute
		if s.silent {
			within = 100 * time.Millisecond
		}
		err := send(t, cfg, within, eventtest.HitOf(0, event.High))
		_, retry := errors.AsType[*sinks.RetryError](err)
		if err == nil || retry != tc.again || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

// TestMailOneRefused holds that one wrong address keeps nobody else from knowing,
// and that they learn of it.
func TestMailOneRefused(t *testing.T) {
	s := newMailServer(t, TLSStart, func(s *mailServer) { s.replies["RCPT TO:<noc@example.net>"] = "550 nobody" })
	if err := send(t, mailConfig(s), time.Minute, eventtest.HitOf(0, event.High)); err != nil {
		t.Fatal(err)
	}
	_, to, data := s.got()
	if fmt.Sprint(to) != "[TO:<soc@example.net>]" || !strings.Contains(data, "refused to take this for noc@example.net") {
		t.Errorf("to %q: %s", to, data)
	}
}

// TestMailLater: where one recipient is refused for good and the other for now, the mail is
// tried again, in whatever order they are.
func TestMailLater(t *testing.T) {
	for _, to := range []string{"noc", "soc"} {
		s := newMailServer(t, TLSStart, func(s *mailServer) {
			s.replies["RCPT TO:<noc@example.net>"], s.replies["RCPT TO:<soc@example.net>"] = "550 nobody", "550 nobody"
			s.replies["RCPT TO:<"+to+"@example.net>"] = "450 greylisted"
		})
		err := send(t, mailConfig(s), time.Minute, eventtest.HitOf(0, event.High))
		if _, ok := errors.AsType[*sinks.RetryError](err); !ok || !strings.Contains(err.Error(), "450") {
			t.Errorf("%s: got %v", to, err)
		}
	}
}

// TestMailSubject: whatever is in a subject, it adds no header, is of ASCII and in lines that every
// server takes.
func TestMailSubject(t *testing.T) {
	for _, subject := range []string{"plain", "x\r\nBcc: evil@example.net\r\n\r\nbody", strings.Repeat("long ", 500), strings.Repeat("漢👍", 500), "=?utf-8?q?Bcc:?=", "\x00\x1b[31m", ""} {
		s := newMailServer(t, TLSNone)
		if err := mailConfig(s).Send(t.Context(), subject, "text\n"); err != nil {
			t.Fatal(err)
		}
		_, _, data := s.got()
		m, err := netmail.ReadMessage(strings.NewReader(data))
		if err != nil || m.Header.Get("Bcc") != "" || len(m.Header) != 9 {
			t.Errorf("%.60q: %v, %v", subject, err, m)
		}
		for line := range strings.Lines(data) {
			if len(line) > 500 || strings.IndexFunc(line, func(r rune) bool { return r > 126 || r < 32 && r != '\r' && r != '\n' }) >= 0 {
				t.Errorf("%.60q: line %q", subject, line)
			}
		}
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if runes := []rune(subject); err != nil || len(runes) < maxSubject && subject[:min(len(subject), 2)] != "=?" && got != subject || len(runes) >= maxSubject && !strings.HasPrefix(got, string(runes[:min(len(runes), 5)])) {
			t.Errorf("%.60q: %.60q, %v", subject, got, err)
		}
	}
}

// TestMailFiles: files arrive as they were, each with its name, and nothing but ASCII goes out.
func TestMailFiles(t *testing.T) {
	s := newMailServer(t, TLSNone)
	files := []File{
		{"report.html", "text/html; charset=utf-8", []byte("<p>" + strings.Repeat("blåbær ", 300) + "</p>\r\n.\r\n--x\r\n")},
		{"empty.txt", "text/plain", nil},
	}
	if err := mailConfig(s).Send(t.Context(), "report", "See the file.\n", files...); err != nil {
		t.Fatal(err)
	}
	_, _, data := s.got()
	if i := strings.IndexFunc(data, func(r rune) bool { return r > 126 || r < 32 && r != '\r' && r != '\n' }); i >= 0 {
		t.Errorf("%q", data[i:i+8])
	}
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range append([]File{{"", "text/plain; charset=utf-8", []byte("See the file.\r\n")}}, files...) {
		part, err := parts.NextPart() // decodes
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if err != nil || part.FileName() != want.Name || part.Header.Get("Content-Type") != want.Type || string(got) != string(want.Content) {
			t.Errorf("%v: %s, %s: %q", err, part.FileName(), part.Header.Get("Content-Type"), got)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("more parts: %v", err)
	}
}
