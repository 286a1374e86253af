package app_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// minComment is the least number of words of a package comment: fewer cannot name what a
// package is for, what it owns and who calls it.
const minComment = 25

// TestPackageComments: every package explains itself to a newcomer.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t, "linux") {
		comment := ""
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				comment += file.Doc.Text()
			}
		}
		begin := "Package " + p.Name
		if p.Name == "main" {
			begin = "Command "
		}
		if n := len(strings.Fields(comment)); n < minComment || !strings.HasPrefix(comment, begin) {
			t.Errorf("%s: %d words in the package comment, at least %d are required after %q", p.ImportPath, n, minComment, begin)
		}
	}
}
