package fit

import (
	"strings"
	"testing"
)

func TestAppendJSON(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"plain é 👍", "plain é 👍"},
		{`a"b\c`, `a\"b\\c`},
		{"a\nb\rc\td", `a\nb\rc\td`},
		{"\x00\x01\x1b\x7f", "\ufffd" + `\u0001\u001b\u007f`},
		{"\u0085\u009b\u2028\u202e\ufeff", `\u0085\u009b\u2028\u202e\ufeff`},
		{"\U000e0001", `\udb40\udc01`},
		{"x\xffy\xc3", "x\ufffdy\ufffd"},
	} {
		if got := string(AppendJSON(nil, tc.in, 1000)); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestAppendJSONCuts(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"12345678", 8, "12345678"},
		{"123456789", 8, "12345…"},
		{"ééééé", 8, "éé…"},
		{"\x01\x01\x01", 18, `\u0001\u0001\u0001`},
		{"\x01\x01\x01", 17, `\u0001\u0001…`},
		{"a\x01\x01\x01", 12, `a\u0001…`},
		{strings.Repeat("\x01", 100), 8, "…"},
	} {
		if got := string(AppendJSON(nil, tc.in, tc.limit)); got != tc.want {
			t.Errorf("%q in %d: got %s, want %s", tc.in, tc.limit, got, tc.want)
		}
	}
}

func TestAppendPlain(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"plain é 👍", "plain é 👍"},
		{"a\nb\r\tc\u2028d\u00a0e", "a b  c d e"},
		{"\x1b[31;1mred\x1b[0m", "red"},
		{"\x1b]0;title\ashown", "shown"},
		{"\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		{"\x1bcreset \x1b(Bx", "reset x"},
		{"open\x1b[3", "open"}, {"open\x1b]0;x", "open"}, {"open\x1b", "open"}, {"\x1béx", "x"},
		{"\x00\a\b\x7f\u009b31m\u202e", "31m"},
		{"bad\xff", "bad\ufffd"},
		{strings.Repeat("x", 101), strings.Repeat("x", 100) + "…"},
	} {
		if got := string(AppendPlain(nil, tc.in, 100)); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestAppendName(t *testing.T) {
	if got := string(AppendName(nil, "A-z_0.9 \"\\\né", 64)); got != "A-z_0.9______" {
		t.Errorf("got %s", got)
	}
	if got := string(AppendName(nil, "abcdef", 3)); got != "abc" {
		t.Errorf("got %s", got)
	}
}

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a=1": "a=1", "203.0.113.9": "203.0.113.9", "edge-1": "edge-1", "it's": "it's",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\rx": "'\rx", "\nx": "'\nx",
		" =1": "' =1", "\u00a0=1": "'\u00a0=1", "'=1": "''=1", `"=1`: `'"=1`, "＝1": "'＝1", " a": " a",
	} {
		if got := Cell(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
