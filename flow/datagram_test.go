package flow

import "testing"

// TestDetect: the protocol shows in the first bytes; sFlow has its version in four.
func TestDetect(t *testing.T) {
	for payload, want := range map[string]Version{
		"\x00\x05\x00\x01": V5, "\x00\x09\x00\x01": V9, "\x00\x0a\x00\x10": IPFIX, "\x00\x00\x00\x05": SFlow,
		"": 0, "\x00\x05\x00": 0, "\x00\x00\x00\x04": 0, "\x00\x07\x00\x01": 0, "\x05\x00\x00\x00": 0, "\x00\x01\x00\x05": 0,
	} {
		v, ok := Detect([]byte(payload))
		if ok != (want != 0) || ok && v != want {
			t.Errorf("% x: %s, %t, want %s", payload, v, ok, want)
		}
	}
	for v, want := range map[Version]string{V5: "v5", V9: "v9", IPFIX: "ipfix", SFlow: "sflow", 7: "unknown"} {
		if v.String() != want {
			t.Errorf("%d: %s", v, v)
		}
	}
}
