package sinks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks"
)

// TestRunnerNamesTheClock: a sink that fails for the date of this machine says so in its
// status, is tried again, and delivers when the clock is right.
func TestRunnerNamesTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		certificate := &x509.Certificate{NotBefore: begin.Add(24 * time.Hour), NotAfter: begin.Add(48 * time.Hour)}
		sink := &fakeSink{Answer: func(context.Context, int, int) error {
			if time.Since(begin) < time.Hour {
				return &sinks.RetryError{Err: &tls.CertificateVerificationError{
					Err: x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired},
				}}
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 3))
		time.Sleep(time.Minute)
		says := "the clock of this machine is at " + begin.UTC().Format(time.DateOnly)
		if s := r.Stats(); s.Failing == 0 || !strings.HasPrefix(s.LastError, says) {
			t.Errorf("%+v, want %q", s, says)
		}
		time.Sleep(2 * time.Hour)
		stopAll(t, j, r)
		if s := r.Stats(); s.Failed != 0 || s.Failing != 0 || !slices.Equal(sink.Got, []uint64{0, 1, 2}) {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
	})
}
