// Package mail sends one mail by SMTP, with a connection of its own, STARTTLS or TLS, and a
// password that is never shown. It owns nothing between two mails. Package webhook calls it for
// its kind mail, and has the text.
package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// The values of Config.TLS.
const (
	TLSStart    = "starttls" // required, usual on ports 587 and 25
	TLSImplicit = "tls"      // from the first byte, usual on port 465
	TLSNone     = "none"     // a mail server on the same host
)

// Config is how mail is sent.
type Config struct {
	// Server is host:port.
	Server string `yaml:"server"`
	// TLS is starttls, tls or none. A server that does not offer STARTTLS gets
	// nothing: passwords and hits are not for everybody on the way.
	TLS string `yaml:"tls"`
	// CAFile holds the certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file"`
	// User and Password for AUTH PLAIN; no user, no authentication.
	User         string      `yaml:"user"`
	Password     secret.Text `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
	From         string      `yaml:"from"`
	To           []string    `yaml:"to"`
}

// Validate reports which key is wrong and what is allowed; the error begins with the
// key, from the block on. Files are not read.
func (m Config) Validate() error {
	if host, port, err := net.SplitHostPort(m.Server); err != nil || host == "" || port == "" {
		return fmt.Errorf("mail.server: %q is not valid; use host:port", m.Server)
	}
	switch {
	case m.TLS != TLSStart && m.TLS != TLSImplicit && m.TLS != TLSNone:
		return fmt.Errorf("mail.tls: %q is not valid; use starttls, tls or none", m.TLS)
	case m.Password != "" && m.PasswordFile != "":
		return errors.New("mail.password_file: is not allowed beside password")
	case m.User != "" && m.TLS == TLSNone:
		return errors.New("mail.user: is not allowed with tls none, the password would be read on the way")
	case len(m.To) == 0:
		return errors.New("mail.to: is missing")
	}
	for _, a := range append([]string{m.From}, m.To...) {
		if p, err := netmail.ParseAddress(a); err != nil || p.Address != a || strings.ContainsAny(a, "\r\n") {
			return fmt.Errorf("mail: %q is not allowed as an address, name@host is", a)
		}
	}
	return nil
}

// A File goes along with a mail.
type File struct {
	Name    string // as it is saved: letters, digits, dots and hyphens
	Type    string // text/html; charset=utf-8
	Content []byte
}

// Send sends a mail. Only a refusal (5xx) of sender, recipient or text is final: a wrong
// password or certificate can be put right, and any other error is a [*sinks.RetryError].
func (m Config) Send(ctx context.Context, subject, text string, files ...File) error {
	c, stop, err := m.connect(ctx)
	if err != nil {
		return &sinks.RetryError{Err: fmt.Errorf("mail by %s: %w", m.Server, err)}
	}
	defer stop()
	err = m.transfer(c, subject, text, files)
	if err == nil {
		_ = c.Quit() // it is accepted already
		return nil
	}
	err = fmt.Errorf("mail by %s: %w", m.Server, err)
	if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code/100 == 5 {
		return err
	}
	return &sinks.RetryError{Err: err}
}

// connect opens a connection and brings it to the point where mail can be sent. stop
// closes it, as the end of ctx does.
func (m Config) connect(ctx context.Context) (c *smtp.Client, stop func(), err error) {
	trust, err := tlsfiles.Client("*_file", m.CAFile, "", "")
	if err != nil {
		return nil, nil, err
	}
	if trust.ServerName, _, err = net.SplitHostPort(m.Server); err != nil {
		return nil, nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return nil, nil, err
	}
	undo := context.AfterFunc(ctx, func() { _ = conn.Close() })
	stop = func() { undo(); _ = conn.Close() }
	if c, err = m.greet(conn, trust); err != nil {
		stop()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return nil, nil, err
	}
	return c, stop, nil
}

func (m Config) greet(conn net.Conn, trust *tls.Config) (*smtp.Client, error) {
	if m.TLS == TLSImplicit {
		conn = tls.Client(conn, trust)
	}
	c, err := smtp.NewClient(conn, trust.ServerName)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(hello()); err != nil {
		return nil, err
	}
	if m.TLS == TLSStart {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nil, errors.New("the server does not offer STARTTLS, nothing was sent")
		}
		if err := c.StartTLS(trust); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if m.User == "" {
		return c, nil
	}
	password, err := m.Password.Reveal(m.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	if err := c.Auth(smtp.PlainAuth("", m.User, password, trust.ServerName)); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", m.User, withoutText(err))
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

func (m Config) transfer(c *smtp.Client, subject, text string, files []File) error {
	if err := c.Mail(m.From); err != nil {
		return err
	}
	var refused []string // a wrong address must not keep the others from knowing
	var last error       // one that may be better later, if there is one
	later := false
	for _, to := range m.To {
		err := c.Rcpt(to)
		if err != nil {
			refused = append(refused, to)
			reply, ok := errors.AsType[*textproto.Error](err)
			if final := ok && reply.Code/100 == 5; !final || !later {
				last, later = fmt.Errorf("to %s: %w", to, err), !final
			}
		}
		if len(refused) == len(m.To) {
			return last
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.compose(subject, text, files, time.Now(), refused)); err != nil {
		return err
	}
	return w.Close()
}

// compose makes the mail (RFC 5322), its text in quoted-printable so that no line is too long
// and nothing but ASCII goes out, and the files after it (RFC 2046). It states who will not get
// it.
func (m Config) compose(subject, text string, files []File, now time.Time, refused []string) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(m.From, "@")
	for _, header := range [][2]string{
		{"From", m.From},
		{"To", strings.Join(m.To, ",\r\n ")},
		{"Subject", header(subject)},
		{"Date", now.Format(time.RFC1123Z)},
		{"Message-ID", "<" + uuid.NewString() + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
	}
	if len(refused) > 0 {
		text += fmt.Sprintf("The mail server refused to take this for %s.\n", strings.Join(refused, ", "))
	}
	body := File{Type: "text/plain; charset=utf-8", Content: []byte(text)}
	if len(files) == 0 {
		body.append(&b)
		return b.Bytes()
	}
	boundary := uuid.NewString()
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n", boundary)
	for _, f := range append([]File{body}, files...) {
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		f.append(&b)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

// maxSubject is how many characters of a subject are sent.
const maxSubject = 200

// header gives a text as it stands in a header: ASCII alone, and in lines of which none is too
// long (RFC 2047).
func header(text string) string {
	if runes := []rune(text); len(runes) > maxSubject {
		text = string(runes[:maxSubject-1]) + "…"
	}
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", text), "?= =?", "?=\r\n =?")
}

// append adds a part of a mail, or all of it, from its own headers on.
func (f *File) append(b *bytes.Buffer) {
	fmt.Fprintf(b, "Content-Type: %s\r\n", f.Type)
	if f.Name != "" {
		fmt.Fprintf(b, "Content-Disposition: attachment; filename=%q\r\n", f.Name)
	}
	b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(b)
	_, _ = q.Write(f.Content) // to memory
	_ = q.Close()
}
