package app_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Sizes beyond which a newcomer gets lost, in lines outside tests.
const (
	maxPackage      = 2_000
	maxMedian       = 500 // of the packages
	maxMedianFunc   = 16  // so that nobody cuts procedures into crumbs, or lets them grow
	maxFuncOfNinety = 50  // out of 100
)

// large are the packages that may be larger, with the reason. Commands have a file for each
// of theirs, and the whole is wired in one place.
var large = map[string]string{
	"flow/decode":      "one datagram is read under one lock, by plans that must not be called across packages",
	"cmd/internal/app": "the only place that wires everything",
	"cmd/flowsnitch":   "one file for each command",
}

// TestSizes: packages are rooms with one idea, and functions are read from top to bottom.
func TestSizes(t *testing.T) {
	var sizes, functions []int
	for _, p := range packages(t, "linux") {
		folder := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(folder, "deploy/") {
			continue
		}
		lines, lengths := measure(t, p.Dir)
		sizes, functions = append(sizes, lines), append(functions, lengths...)
		switch reason := large[folder]; {
		case lines > maxPackage && reason == "":
			t.Errorf("%s has %d lines outside tests, at most %d are allowed", folder, lines, maxPackage)
		case lines <= maxPackage && reason != "":
			t.Errorf("%s has %d lines outside tests and needs no exception", folder, lines)
		}
	}
	slices.Sort(sizes)
	slices.Sort(functions)
	t.Logf("%d packages, median %d lines; %d functions, median %d, 90 %% within %d", len(sizes), percent(sizes, 50),
		len(functions), percent(functions, 50), percent(functions, 90))
	if n := percent(sizes, 50); n > maxMedian {
		t.Errorf("the median package has %d lines, at most %d are allowed", n, maxMedian)
	}
	if n := percent(functions, 50); n > maxMedianFunc {
		t.Errorf("the median function has %d lines, at most %d are allowed", n, maxMedianFunc)
	}
	if n := percent(functions, 90); n >= maxFuncOfNinety {
		t.Errorf("90 %% of the functions are within %d lines, it must be less than %d", n, maxFuncOfNinety)
	}
}

func percent(sorted []int, p int) int { return sorted[(len(sorted)-1)*p/100] }

// measure counts the lines of a package for all systems, and those of each function.
func measure(t *testing.T, dir string) (lines int, functions []int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				functions = append(functions, set.Position(f.End()).Line-set.Position(f.Pos()).Line+1)
			}
		}
	}
	return lines, functions
}
