package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/figures"
	"github.com/flowsnitch/flowsnitch/flow/decode"
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
		parts := wrapLine(line, 80, hanging)
		if got, want := strings.Fields(strings.Join(parts, " ")), strings.Fields(line); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%q becomes %q", line, parts)
		}
		for i, p := range parts {
			if utf8.RuneCountInString(p) > 80 && !strings.Contains(p, words[5]) {
				t.Errorf("part %d of %q has %d columns: %q", i, line, utf8.RuneCountInString(p), p)
			}
			if i > 0 && !strings.HasPrefix(p, strings.Repeat(" ", hanging)) {
				t.Errorf("part %d is not indented: %q", i, p)
			}
		}
	}
	if got := wrapLine("", 80, hanging); len(got) != 1 || got[0] != "" {
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

// TestStatusIsReadable: with something in every field the status has at most 80 columns,
// names its exporters, keeps the self-test apart and says where sampling is unknown.
func TestStatusIsReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, date := &app.Status{}, time.Now().Add(-3*time.Hour)
		s.Exporters.List = []decode.ExporterStatus{{Name: "edge-1", Site: "oslo", Streams: []decode.StreamStatus{
			{Version: "v9", Domain: 7, Datagrams: 5},
			{Version: "ipfix", Domain: canary.DomainTest, Datagrams: 30},
			{Version: "ipfix", Domain: canary.DomainTest + 1, Datagrams: 12},
		}}}
		s.Exporters.Exporters, s.Exporters.Templates = 3, 29
		s.Exporters.SelfTest = app.SelfTestShare{Exporters: 1, Templates: 24}
		figures.Fill(s, date)
		s.Exporters.List[0].Streams[0].Sampling = nil
		s.Starting = false
		var plain, out strings.Builder
		printStatus(&plain, *s, false)
		for _, want := range []string{
			"\ncounters   since " + day(date) + ", where no other date is given\n",
			"\nexporters  2 with 5 templates (and 1 with 24 of the self-test)",
			"\nexporter   edge-1 (192.0.2.1) at oslo v9 domain 7: 5 datagrams, ", ", sampling unknown",
			"\nself-test  from edge-1 (192.0.2.1) at oslo: 2 streams, 42 datagrams, ",
			"           refused: 192.0.2.1, ", ": since " + day(date) + " ",
		} {
			if !strings.Contains(plain.String(), want) {
				t.Errorf("no %q in\n%s", want, plain.String())
			}
		}
		if strings.Contains(plain.String(), "exporter   edge-1 (192.0.2.1) ipfix") {
			t.Error("the self-test is an exporter")
		}
		printStatus(&wrapper{w: &out, columns: 80}, *s, false)
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	})
}
