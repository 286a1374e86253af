package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	flowfit "github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// hostileTexts are what a feed, the holder of a network or a colleague might write: for
// terminals, spreadsheets, readers of lines, and what only looks like something else.
var hostileTexts = slices.Concat(eventtest.Hostile, []string{
	evil,
	"=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1:A9)", "\t=1+1", " =1+1", "'=1+1", "＝1+1", "\"=1+1", "=HYPERLINK(\"https://evil.example\")",
	"\x1b]0;title\a\x1b[8m\x1b[2K\r", "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "\x1bP+q544e\x1b\\", "\u009b2J\u0090x\u009c",
	"a\r\nb\nc\u0085d\u2028e\u2029f\vg\fh", "\u202egnp.exe\u202c \u2066x\u2069 \u200e\u200f\u061c", "zero\u200bwidth\u200d\u2060\ufeff",
	"\xff\xfe\xc0\x80\xed\xa0\x80", "cut \xf0\x9f\x92", strings.Repeat("\u0301", 500), "e" + strings.Repeat("\u0300", 300), strings.Repeat("界", 400),
	strings.Repeat("long ", 2000), strings.Repeat("x", 9000), "", " ", "null", "--json", "$(reboot)", "`id`", "%s%n%d", "{{.}}", "\\", `"`, `","`, "a,b;c\td",
})

// knowingHostile makes a state directory whose database and silences have each text wherever
// others can put one, of an offender each.
func knowingHostile(t *testing.T) (config string, offenders []string) {
	t.Helper()
	config, _ = knowing(t)
	var events []event.Event
	for k, text := range hostileTexts {
		offender := fmt.Sprintf("62.1.0.%d", k+1)
		offenders = append(offenders, offender)
		e := talk(offender, fmt.Sprintf("10.2.0.%d", k+1), event.Outbound, event.AnsweredYes, 90, 3)
		e.Reason, e.Site, e.ASName, e.ASNumber, e.Country, e.ExporterName = text, text, text, 64496, "NO", text
		e.Indicators[0].Feed, e.Indicators[0].Category, e.Indicators[0].Description = text, text, text
		e.Indicators[0].Ref, e.Indicators[0].TLP, e.Indicators[0].NativeID = text, text, text
		events = append(events, e)
	}
	remember(t, config, events...)
	withDatabase(t, config, func(s *store.Store) {
		for k, text := range hostileTexts {
			a := incident.Action{Act: incident.ActNote, Offender: netip.MustParseAddr(offenders[k]), Author: text, Text: text}
			if _, err := s.Act(t.Context(), a); err != nil && !strings.Contains(err.Error(), "note") && !strings.Contains(err.Error(), "text") {
				t.Errorf("%.40q: %v", text, err)
			}
			a.Act = incident.ActTake
			if len(text) > 4096 || !utf8.ValidString(text) {
				a.Text = ""
			}
			if _, err := s.Act(t.Context(), a); err != nil {
				t.Errorf("%.40q: %v", text, err)
			}
		}
	})
	for k, text := range hostileTexts {
		if r := command(t, "silence", "add", "--offender", offenders[k], "--site", text, "--for", "7d", "--reason", text, "-c", config); r.code != exitDone && r.code != exitUsage {
			t.Errorf("%.40q: %+v", text, r)
		}
	}
	return config, offenders
}

// TestHostileTexts: no text of others is more than text, in what is for a terminal, a spreadsheet or
// a program.
func TestHostileTexts(t *testing.T) {
	config, offenders := knowingHostile(t)
	at := func(args ...string) []string { return append(args, "-c", config) }
	lines := [][]string{at("incidents", "--limit", "0"), at("incidents", "--by", "host", "--limit", "0"), at("silence", "list", "--all"), at("lookup", offenders[0]), at("report")}
	for _, a := range offenders {
		lines = append(lines, at("incidents", "show", a))
	}
	lines = append(lines, at(append([]string{"lookup"}, offenders...)...))
	for _, args := range lines {
		r := command(t, args...)
		if strings.TrimSpace(r.out) == "" {
			t.Errorf("%q: %+v", args, r)
		}
		for line := range strings.SplitSeq(r.out, "\n") {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q: %.200q", args[:3], line)
			}
			if n := utf8.RuneCountInString(line); n > 80 && args[0] == "incidents" && strings.Contains(strings.TrimSpace(line), " ") { // a word is not broken
				t.Errorf("%q: %d columns: %.200q", args[:3], n, line)
			}
		}
	}
	for _, args := range [][]string{at("incidents", "--json", "--limit", "0"), at("incidents", "--json", "--by", "host", "--limit", "0"), at("silence", "list", "--json"),
		at("incidents", "show", "--json", offenders[0]), at(append([]string{"lookup", "--json"}, offenders...)...)} {
		r := command(t, args...)
		n := 0
		for line := range strings.Lines(r.out) {
			var v any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Errorf("%q: %v: %.200q", args[:3], err, line)
			}
			if !utf8.ValidString(line) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q: %.300q", args[:3], line)
			}
			n++
		}
		if n == 0 {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for _, args := range [][]string{at("incidents", "--csv", "--limit", "0"), at("incidents", "--csv", "--by", "host", "--limit", "0")} {
		r := command(t, args...)
		rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
		if err != nil || len(rows) != len(offenders)+3 {
			t.Fatalf("%q: %v, %d rows", args, err, len(rows))
		}
		for _, row := range rows {
			for _, cell := range row {
				if flowfit.Cell(cell) != cell && !strings.HasPrefix(cell, "'") || strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q: %.200q", args[:3], cell)
				}
			}
		}
	}
}
