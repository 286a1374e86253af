package packed

import (
	"net/netip"
	"testing"
	"time"
)

// TestIsLossless: addresses and times come back as they were.
func TestIsLossless(t *testing.T) {
	t0 := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	for _, text := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		a := netip.MustParseAddr(text)
		if got := Of(a); got.Addr() != a {
			t.Errorf("%s became %s", a, got.Addr())
		}
	}
	if got := Of(netip.Addr{}); got.Addr().IsValid() || got == Of(netip.IPv6Unspecified()) {
		t.Error("no address became one")
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(0, 1).UTC(), time.Unix(-1, 999_999_999).UTC(), t0} {
		got := TimeOf(at).Time()
		if at.Equal(time.Unix(0, 0)) {
			at = time.Unix(0, 1).UTC() // 1970 begins a nanosecond later
		}
		if got != at {
			t.Errorf("%s became %s", at, got)
		}
	}
	for _, far := range []time.Time{time.Unix(-1<<62, 0), time.Unix(1<<62, 0), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := TimeOf(far).Time(); got.Before(t0) != far.Before(t0) || got.IsZero() {
			t.Errorf("%s became %s", far, got)
		}
	}
}
