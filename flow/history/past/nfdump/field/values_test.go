package field

import (
	"testing"
	"time"
)

// TestValues: spellings of versions.
func TestValues(t *testing.T) {
	c := Clock{Zone: time.UTC}
	at := time.Date(2026, 11, 30, 13, 19, 6, 0, time.UTC).UnixMilli()
	for in, want := range map[string]int64{
		"2026-11-30 13:19:06": at, "2026-11-30T13:19:06.8": at + 800, "2026-11-30 13:19:06.816": at + 816,
		"1796044746.816": at + 816, "1796044746816": at + 816, "1796044746": at, "0": 0,
		"1970-01-01 01:00:00": 0, "0000-00-00 00:00:00.000": 0, "2200-01-01 00:00:00": 0,
	} {
		if got, ok := c.time([]byte(in), false); !ok || got != want {
			t.Errorf("time %s: %d %v, want %d", in, got, ok, want)
		}
	}
	if got, ok := c.time([]byte("2026-11-30T13:19:06.5"), true); !ok || got != at+5 {
		t.Errorf("milliseconds without zeros: %d %v", got, ok)
	}
	for in, want := range map[string]int64{"18.641": 18641, "0.000": 0, "00:00:18.641": 18641, "1d 01:00:00.001": 90000001, "18446744073709548.000": 0} {
		if got, ok := seconds([]byte(in)); !ok || got != want {
			t.Errorf("duration %s: %d %v, want %d", in, got, ok, want)
		}
	}
	for in, want := range map[string]uint8{"...AP.SF": 0x1b, ".A....": 0x10, "0x": 0, "27": 27, "CEUAPRSF": 255} {
		if got, ok := tcpFlags([]byte(in)); ok != (in != "0x") || got != want {
			t.Errorf("flags %s: %d %v, want %d", in, got, ok, want)
		}
	}
	for in, want := range map[string]uint8{"TCP": 6, "UDP": 17, "ICMP6": 58, "ESP": 50, "MPLS": 137, "OS": 94, "38": 38, "255": 255, "0": 0, "GRE": 47, "SCTP": 132, "NOHE6": 59} {
		if got, ok := protocol([]byte(in)); !ok || got != want {
			t.Errorf("protocol %s: %d %v, want %d", in, got, ok, want)
		}
	}
}
