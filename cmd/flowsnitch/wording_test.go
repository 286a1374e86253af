package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// odd are words that people of this field do not use for a status, and what they use.
var odd = map[string]*regexp.Regexp{
	"OK":                   regexp.MustCompile(`\b(is|are|was|were|be) well\b`),
	"required":             regexp.MustCompile(`\b(is|are) wanted\b`),
	"reported":             regexp.MustCompile(`\btold\b`),
	"because there is no":  regexp.MustCompile(`\bfor want of\b`),
	"not decoded":          regexp.MustCompile(`\bunsaid\b`),
	"IPv4-mapped IPv6":     regexp.MustCompile(`\bin IPv6 clothes\b`),
	"rate limits apply to": regexp.MustCompile(`\bby hand neither\b`),
}

// speech are verbs of people that comments must not use for data and code.
var speech = map[string]*regexp.Regexp{
	"has, means, states, reports, shows": regexp.MustCompile(`\b(tells|says|telling)\b`),
	"required, configured, needed":       regexp.MustCompile(`\bwanted\b`),
}

// TestWording: what the program prints, its documents and its comments use the words of the
// field.
func TestWording(t *testing.T) {
	root := filepath.Join("..", "..")
	texts := 0
	check := func(where, text string, lists ...map[string]*regexp.Regexp) {
		texts++
		for _, list := range lists {
			for better, words := range list {
				if found := words.FindString(text); found != "" {
					t.Errorf("%s: %q; say %q", where, found, better)
				}
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && name != ".."):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					check(files.Position(lit.Pos()).String(), lit.Value, odd)
				}
				return true
			})
			for _, group := range file.Comments {
				for _, c := range group.List {
					check(files.Position(c.Pos()).String(), c.Text, odd, speech)
				}
			}
		case name != "CHANGELOG.md" && (strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".yml")):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			check(path, string(text), odd)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts < 10_000 {
		t.Errorf("only %d texts were read", texts)
	}
}
