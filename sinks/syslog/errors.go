package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// advise puts what may be done about an error before it.
func advise(err error) error {
	if advice := advice(err); advice != "" {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

func advice(err error) string {
	if text := certificateAdvice(err); text != "" {
		return text
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time, is the server up and reading, does its port speak the transport?"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "server not found, check its name"
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "server not reachable"
	case errors.Is(err, syscall.EMSGSIZE):
		return "datagram too long for the way, lower limit"
	case errors.Is(err, fs.ErrNotExist) && isDial(err):
		return "no such socket, is the daemon running?"
	case errors.Is(err, fs.ErrPermission):
		return "not allowed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server broke the connection"
	}
	return ""
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// isAlert reports whether the other side has ended TLS with an alert.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// certificateAdvice is the advice for what fails in the handshake of TLS.
func certificateAdvice(err error) string {
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if bad.Reason == x509.Expired {
			return "the server's certificate has expired or is not valid yet, renew it or set the clock"
		}
		return "the server's certificate is not valid"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is of an unknown authority, name it in tls.ca"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is for another name, set tls.server_name"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server's port does not speak TLS"
	}
	if isAlert(err) {
		return "the server ends TLS, check tls.cert and tls.key"
	}
	return ""
}
