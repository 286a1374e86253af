package tlsfiles

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestExplainDate: by TLS on a real connection. The client believes to be in another year,
// as a machine without a clock does.
func TestExplainDate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	get := func(at time.Time) error {
		client := server.Client()
		trust := client.Transport.(*http.Transport).TLSClientConfig.Clone()
		trust.Time = func() time.Time { return at }
		tr := &http.Transport{TLSClientConfig: trust}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(server.URL)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	from, to := server.Certificate().NotBefore, server.Certificate().NotAfter
	for _, at := range []time.Time{from.Add(-365 * 24 * time.Hour), to.Add(365 * 24 * time.Hour)} {
		err := get(at)
		if !IsByDate(err) {
			t.Fatalf("at %s: %v", at, err)
		}
		told := ExplainDate(ExplainDate(err, at), at)
		for _, want := range []string{
			"the clock of this machine is at " + at.UTC().Format(time.DateOnly),
			"is valid from " + from.UTC().Format(time.DateOnly) + " to " + to.UTC().Format(time.DateOnly), "check NTP",
		} {
			if strings.Count(told.Error(), want) != 1 {
				t.Errorf("%q does not say once %q", told, want)
			}
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](told); !ok {
			t.Errorf("the error of TLS is lost: %v", told)
		}
	}
	if err := get(from.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	other := &url.Error{Op: "Get", Err: io.ErrUnexpectedEOF}
	if IsByDate(other) || ExplainDate(other, time.Now()) != error(other) || ExplainDate(nil, time.Now()) != nil {
		t.Error("another error is not left alone")
	}
}
