package show

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWrap: nothing is lost or changed by wrapping but blanks at the breaks, and a part is
// only longer than the columns where one word is.
func TestWrap(t *testing.T) {
	words := []string{"a", "sink", "exporters,", "zwölf", "漢字", strings.Repeat("x", 90)}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		line := "key" + strings.Repeat(" ", random.IntN(9))
		for range random.IntN(60) {
			line += " " + words[random.IntN(len(words))]
		}
		parts := WrapLine(line, 80, Hanging)
		if got, want := strings.Fields(strings.Join(parts, " ")), strings.Fields(line); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%q becomes %q", line, parts)
		}
		for i, p := range parts {
			if utf8.RuneCountInString(p) > 80 && !strings.Contains(p, words[5]) {
				t.Errorf("part %d of %q has %d columns: %q", i, line, utf8.RuneCountInString(p), p)
			}
			if i > 0 && !strings.HasPrefix(p, strings.Repeat(" ", Hanging)) {
				t.Errorf("part %d is not indented: %q", i, p)
			}
		}
	}
	if got := WrapLine("", 80, Hanging); len(got) != 1 || got[0] != "" {
		t.Errorf("an empty line becomes %q", got)
	}
}

// TestWrapper: lines that come in pieces are wrapped as a whole.
func TestWrapper(t *testing.T) {
	var out strings.Builder
	w := &wrapper{w: &out, columns: 44}
	for _, r := range "sink       console: 12 sent, 0 waiting, 0 dropped, 0 failed\nnext\n" {
		if n, err := w.Write([]byte(string(r))); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "sink       console: 12 sent, 0 waiting, 0\n           dropped, 0 failed\nnext\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
