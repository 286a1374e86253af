package clock

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// A certificateError is a certificate that does not hold by the clock of this machine.
type certificateError struct {
	certificate *x509.Certificate
	now         time.Time
	err         error
}

// ByDate reports whether TLS failed because a certificate does not hold at the date of
// this machine.
func ByDate(err error) bool {
	bad, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && bad.Reason == x509.Expired
}

// Explain says of an error of TLS that comes of the date what the clock of this machine
// says and when the certificate holds: either may be wrong. Any other error it gives
// back. The error stays within, and so does whether it is worth another attempt: a clock
// is set some day.
func Explain(err error, now time.Time) error {
	bad, _ := errors.AsType[x509.CertificateInvalidError](err)
	if !ByDate(err) || bad.Cert == nil {
		return err
	}
	if _, ok := errors.AsType[*certificateError](err); ok {
		return err // says it already
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
