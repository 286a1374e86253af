package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// sendMail sends a message by mail, with a connection of its own. Only a refusal
// (5xx) of sender, recipient or text is final: a wrong password or certificate can
// be put right.
func (h *Hook) sendMail(ctx context.Context, m *message) error {
	c, stop, err := h.connect(ctx)
	if err != nil {
		return &sinks.RetryError{Err: fmt.Errorf("mail by %s: %w", h.cfg.Mail.Server, err)}
	}
	defer stop()
	err = h.transfer(c, m)
	if err == nil {
		_ = c.Quit() // it is accepted already
		return nil
	}
	err = fmt.Errorf("mail by %s: %w", h.cfg.Mail.Server, err)
	if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code/100 == 5 {
		return err
	}
	return &sinks.RetryError{Err: err}
}

// connect opens a connection and brings it to the point where mail can be sent. stop
// closes it, as the end of ctx does.
func (h *Hook) connect(ctx context.Context) (c *smtp.Client, stop func(), err error) {
	cfg := h.cfg.Mail
	trust, err := tlsfiles.Client("*_file", cfg.CAFile, "", "")
	if err != nil {
		return nil, nil, err
	}
	if trust.ServerName, _, err = net.SplitHostPort(cfg.Server); err != nil {
		return nil, nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", cfg.Server)
	if err != nil {
		return nil, nil, err
	}
	undo := context.AfterFunc(ctx, func() { _ = conn.Close() })
	stop = func() { undo(); _ = conn.Close() }
	if c, err = h.greet(conn, trust); err != nil {
		stop()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return nil, nil, err
	}
	return c, stop, nil
}

func (h *Hook) greet(conn net.Conn, trust *tls.Config) (*smtp.Client, error) {
	cfg := h.cfg.Mail
	if cfg.TLS == TLSImplicit {
		conn = tls.Client(conn, trust)
	}
	c, err := smtp.NewClient(conn, trust.ServerName)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(hello()); err != nil {
		return nil, err
	}
	if cfg.TLS == TLSStart {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nil, errors.New("the server does not offer STARTTLS, nothing was sent")
		}
		if err := c.StartTLS(trust); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if cfg.User == "" {
		return c, nil
	}
	password, err := cfg.Password.Reveal(cfg.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	if err := c.Auth(smtp.PlainAuth("", cfg.User, password, trust.ServerName)); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", cfg.User, withoutText(err))
	}
	return c, nil
}

// withoutText keeps the code of a reply to a password: a server might repeat what
// it was sent.
func withoutText(err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("refused with %d", reply.Code)
	}
	return err
}

// hello is the name that this host greets with.
func hello() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsAny(name, " \r\n") {
		return "localhost"
	}
	return name
}

func (h *Hook) transfer(c *smtp.Client, m *message) error {
	if err := c.Mail(h.cfg.Mail.From); err != nil {
		return err
	}
	var refused []string // a wrong address must not keep the others from knowing
	for _, to := range h.cfg.Mail.To {
		err := c.Rcpt(to)
		if err != nil {
			refused = append(refused, to)
		}
		if len(refused) == len(h.cfg.Mail.To) {
			return fmt.Errorf("to %s: %w", to, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(h.cfg.Mail.compose(m, time.Now(), refused)); err != nil {
		return err
	}
	return w.Close()
}

// compose makes the mail (RFC 5322), its text in quoted-printable so that no line is
// too long and nothing but ASCII goes out. It says who will not get it.
func (m Mail) compose(msg *message, now time.Time, refused []string) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(m.From, "@")
	for _, header := range [][2]string{
		{"From", m.From},
		{"To", strings.Join(m.To, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", msg.title())},
		{"Date", now.Format(time.RFC1123Z)},
		{"Message-ID", "<" + uuid.NewString() + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
	}
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(msg.text(func(s string) string { return s }))) // to memory
	if len(refused) > 0 {
		_, _ = fmt.Fprintf(q, "The mail server refused to take this for %s.\n", strings.Join(refused, ", "))
	}
	_ = q.Close()
	return b.Bytes()
}
