package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// published are the names that users build on.
type published struct {
	metrics map[string][]string // labels by name, as the page on metrics has them
	keys    map[string]bool     // of JSON
	fixed   map[string]bool     // labels with a value that does not change, as in outcome="displaced"
}

// names reads what is published: the table of metrics, which a test keeps as the registry has
// it, the tags of all structs, and the sections that components register.
func names(t *testing.T) published {
	t.Helper()
	p := published{map[string][]string{}, map[string]bool{}, map[string]bool{}}
	for _, row := range regexp.MustCompile("(?m)^\\| `(flowsnitch_\\w+)` \\| ([^|]*) \\|").FindAllStringSubmatch(page(t, "deploy/prometheus/README.md"), -1) {
		p.metrics[row[1]] = strings.Split(strings.TrimSpace(row[2]), ", ")
	}
	goFiles(t, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				if n.Tag != nil {
					p.add(n.Tag.Value)
				}
			case *ast.CallExpr: // observe.Of("name", …), Printed or Silent
				of, _ := n.Fun.(*ast.SelectorExpr)
				if of != nil && slices.Contains([]string{"Of", "Printed", "Silent"}, of.Sel.Name) && len(n.Args) > 0 {
					if name, ok := n.Args[0].(*ast.BasicLit); ok {
						p.keys[strings.Trim(name.Value, `"`)] = true
					}
				}
			}
			return true
		})
	})
	if len(p.metrics) < 150 || len(p.keys) < 300 {
		t.Fatalf("only %d metrics and %d keys", len(p.metrics), len(p.keys))
	}
	return p
}

func (p *published) add(tag string) {
	text, _ := strconv.Unquote(tag)
	key, _, _ := strings.Cut(reflect.StructTag(text).Get("json"), ",")
	p.keys[key] = true
	if label, value, ok := strings.Cut(reflect.StructTag(text).Get("with"), "="); ok {
		p.fixed[label+`="`+value+`"`] = true
	}
}

// goFiles calls f with each file of the program, tests left out.
func goFiles(t *testing.T, f func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			f(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// quotedNames gives what stands between backquotes.
func quotedNames(cell string) (list []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1])
	}
	return list
}

// TestRenames walks the table of names that have changed: each new one is there, and no old one.
func TestRenames(t *testing.T) {
	p := names(t)
	sources := read(t, "../../deploy/prometheus/flowsnitch-rules.yml") + read(t, "../../deploy/grafana/flowsnitch.json") + read(t, "../../README.md")
	_, table, _ := strings.Cut(page(t, "CHANGELOG.md"), "| Before | Now |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for _, row := range regexp.MustCompile(`(?m)^ *\|(.*)\|(.*)\|$`).FindAllStringSubmatch(table, -1) {
		before, now := quotedNames(row[1]), quotedNames(row[2])
		if len(now) == 0 && !strings.Contains(row[2], "absent") {
			continue // the line below the heading
		}
		rows++
		kept := strings.Contains(row[2], "the same by") || strings.Contains(row[2], "absent when")
		for _, old := range before {
			metric, label, _ := strings.Cut(strings.TrimSuffix(old, "}"), "{")
			_, there := p.metrics[metric]
			switch {
			case kept && !there, label != "" && !there:
				t.Errorf("%s is not there any more", metric)
			case label != "" && p.fixed[label], label == "" && !kept && (there || p.keys[old]):
				t.Errorf("%s is still there", old)
			case label == "" && !kept && regexp.MustCompile(`\b`+metric+`\b`).MatchString(sources) && strings.HasPrefix(metric, "flowsnitch_"):
				t.Errorf("%s is still in use", old)
			}
		}
		for _, name := range now {
			switch _, there := p.metrics[name]; {
			case strings.Contains(row[2], "the same by"):
				if metric := before[0]; !slices.Contains(p.metrics[metric], name) {
					t.Errorf("%s has no label %s", metric, name)
				}
			case strings.HasPrefix(name, "flowsnitch_") && !there, strings.Contains(name, "=") && !p.fixed[name]:
				t.Errorf("%s is not there", name)
			case !strings.HasPrefix(name, "flowsnitch_") && !strings.Contains(name, "=") && !p.keys[name[strings.LastIndexByte(name, '.')+1:]]:
				t.Errorf("no JSON key %s", name)
			}
		}
	}
	if rows < 14 {
		t.Errorf("only %d rows in the table", rows)
	}
}
