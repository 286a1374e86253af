package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// Advice returns what may be done about an error of the handshake with a peer, which is
// called broker or server; empty = the error is of another kind. It names keys of a block
// tls.
func Advice(peer string, err error) string {
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if bad.Reason == x509.Expired {
			return "the " + peer + "'s certificate has expired or is not valid yet, renew it or set the clock"
		}
		return "the " + peer + "'s certificate is not valid"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the " + peer + "'s certificate is of an unknown authority, name it in tls.ca"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the " + peer + "'s certificate is for another name, set tls.server_name"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the " + peer + "'s port does not speak TLS"
	}
	if IsAlert(err) {
		return "the " + peer + " ends TLS, check tls.cert and tls.key"
	}
	return ""
}

// IsAlert reports whether the other side has ended TLS with an alert.
func IsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// A certificateError is a certificate that does not hold by the clock of this machine.
type certificateError struct {
	certificate *x509.Certificate
	now         time.Time
	err         error
}

// IsByDate reports whether TLS failed because a certificate does not hold at the date of
// this machine.
func IsByDate(err error) bool {
	bad, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && bad.Reason == x509.Expired
}

// ExplainDate adds to an error of TLS that is about the date what the clock of this machine
// shows and when the certificate is valid: either may be wrong. Any other error it gives
// back. The error stays within, and so does whether it is worth another attempt: a clock
// is set some day.
func ExplainDate(err error, now time.Time) error {
	bad, _ := errors.AsType[x509.CertificateInvalidError](err)
	if !IsByDate(err) || bad.Cert == nil {
		return err
	}
	if _, ok := errors.AsType[*certificateError](err); ok {
		return err // has it already
	}
	return &certificateError{bad.Cert, now, err}
}

func (e *certificateError) Error() string {
	const day = time.DateOnly
	return fmt.Sprintf("the clock of this machine is at %s, the certificate is valid from %s to %s: renew it, or check NTP; %v",
		e.now.UTC().Format(day), e.certificate.NotBefore.UTC().Format(day), e.certificate.NotAfter.UTC().Format(day), e.err)
}

// Unwrap gives the error of TLS.
func (e *certificateError) Unwrap() error { return e.err }
