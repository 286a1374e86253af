package templates

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

// TestShipped: the names are those of the files, each has its limits, and makes documents of
// the samples within them. What services take is tested beside the sink.
func TestShipped(t *testing.T) {
	list, err := filepath.Glob("*.tmpl")
	if err != nil || len(list) != len(Names) || len(shipped) != len(Names) || !slices.IsSorted(Names) {
		t.Errorf("%q, %q, %v", list, Names, err)
	}
	for _, name := range Names {
		x, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.try(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Shipped("sms"); err == nil {
		t.Error("sms is known")
	}
}

// TestFewer: a message that is too long names fewer offenders, and counts the others.
func TestFewer(t *testing.T) {
	x, err := Shipped("ntfy")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := x.Documents(samples()[0], func(v *notice.View) { v.Topic = "t" })
	if err != nil || len(docs) != 1 {
		t.Fatal(err)
	}
	named := strings.Count(string(docs[0]), "first contact")
	if !strings.Contains(string(docs[0]), "more are not named here") || named == 0 || named >= 20 {
		t.Errorf("%d named: %s", named, docs[0])
	}
}

func TestFunctions(t *testing.T) {
	for got, want := range map[string]string{
		cut(3, "äöü"): "äöü", cut(3, "äöüß"): "äö…", cut(0, "x"): "…",
		cutBytes(4, "äö"): "äö", cutBytes(6, "äöüß"): "ä…", cutBytes(5, "abcdef"): "ab…",
		notice.Code("a`b"): "`a'b`", notice.EscapeSlack("<!here> & x"): "&lt;!here&gt; &amp; x",
		quiet("@here"): "@\u200bhere", markdown("[a](b) @x"): "\\[a\\]\\(b\\) @\u200bx",
		coded("Why: ", 3, "abcd"): "Why: `ab…`\n", coded("Why: ", 3, "") + "": "",
		strings.Join(lines("a", "", []string{}, "b"), ","): "a,b",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReadme: the example of the documentation works, and its tables have all fields and functions.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	example := regexp.MustCompile("(?s)```\n(\\{.*?)```").FindStringSubmatch(text)
	path := filepath.Join(t.TempDir(), "t")
	if err := os.WriteFile(path, []byte(example[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Own(path, ContentJSON, false); err != nil {
		t.Error(err)
	}
	for name := range functions {
		if !strings.Contains(text, "`"+name+" ") {
			t.Errorf("function %s is not documented", name)
		}
	}
	for _, name := range Names {
		if !strings.Contains(text, "| `"+name+"` |") || !strings.Contains(text, "template: "+name+",") {
			t.Errorf("template %s is not documented", name)
		}
	}
}
