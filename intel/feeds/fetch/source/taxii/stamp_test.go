package taxii

import "testing"

func TestTAXIITimestamp(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-01T00:00:00.123456Z":                                    "2026-11-01T00:00:00.123456Z",
		"2026-11-01T02:00:00.1234569+02:00":                              "2026-11-01T00:00:00.123456Z",
		"2026-11-01T00:00:00Z":                                           "2026-11-01T00:00:00.000000Z",
		"Sat Jan 03 2026 00:00:00 GMT+0000 (Coordinated Universal Time)": "2026-01-03T00:00:00.000000Z",
		"Sat, 03 Jan 2026 00:00:00 GMT":                                  "2026-01-03T00:00:00.000000Z",
		"yesterday":                                                      "",
		"":                                                               "",
	} {
		if got := taxiiTimestamp(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
