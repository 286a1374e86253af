package rulebook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs/rules"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// An Entry is one rule.
type Entry struct {
	*rule.Rule
	Shipped bool
	Off     string // why it is off; empty = it is on
}

// A Book has all rules.
type Book struct {
	Entries []Entry // by name
	Bad     []error // what is wrong, mostly of type *rule.Error
	on      []*rule.Rule
}

// On gives the rules that are on, in the order in which each comes after those that it refers
// to.
func (b *Book) On() []*rule.Rule { return b.on }

const (
	maxRules = 1000
	maxFile  = 1<<20 + 1 // a byte more than package rule takes
)

// ShippedPrefix begins the names of shipped files, for errors.
const ShippedPrefix = "shipped:"

// Shipped gives the rules that come with the program.
func Shipped() []*rule.Rule {
	names, _ := fs.Glob(rules.Files, "*.yml")
	var all []*rule.Rule
	for _, name := range names {
		b, _ := rules.Files.ReadFile(name)
		list, _ := rule.Read(ShippedPrefix+name, b) // a test reads them
		all = append(all, list...)
	}
	return all
}

// Load reads the rules of a configuration.
func Load(c Config) *Book {
	var own []*rule.Rule
	b := &Book{}
	for _, path := range b.files(c.Files) {
		own = append(own, b.read(path)...)
	}
	b.take(c, own)
	return b
}

// Of is the book of the rules of some files, which must be there. Shipped rules are in it only
// where these refer to them; they raise no alerts of their own.
func Of(paths ...string) *Book {
	var own []*rule.Rule
	b := &Book{}
	for _, path := range paths {
		own = append(own, b.read(path)...)
	}
	needed := slices.Clone(own)
	shipped := Shipped()
	for i := 0; i < len(needed); i++ {
		for _, name := range needed[i].Correlation.Rules {
			is := func(r *rule.Rule) bool { return r.Name == name }
			at := slices.IndexFunc(shipped, is)
			if at >= 0 && !slices.ContainsFunc(needed, is) {
				shipped[at].Generate = false
				needed = append(needed, shipped[at])
			}
		}
	}
	b.take(Config{}, needed)
	for i := range b.Entries {
		b.Entries[i].Shipped = !slices.Contains(own, b.Entries[i].Rule)
	}
	return b
}

// take makes the entries.
func (b *Book) take(c Config, own []*rule.Rule) {
	var all []*rule.Rule
	shipped := make(map[*rule.Rule]bool)
	if c.Shipped {
		for _, r := range Shipped() {
			if !slices.ContainsFunc(own, func(o *rule.Rule) bool { return o.Name == r.Name }) {
				shipped[r] = true
				all = append(all, r)
			}
		}
	}
	all = append(all, own...)
	if len(all) > maxRules {
		b.Bad = append(b.Bad, fmt.Errorf("%d rules are more than %d; the last ones are left out", len(all), maxRules))
		all = all[:maxRules]
	}
	b.withoutLogins(all)
	off := b.disable(c, all)
	good, bad := rule.Check(all)
	b.Bad = append(b.Bad, bad...)
	for _, r := range good {
		if off[r] == "" {
			b.on = append(b.on, r)
		}
		b.Entries = append(b.Entries, Entry{r, shipped[r], off[r]})
	}
	slices.SortFunc(b.Entries, func(x, y Entry) int { return strings.Compare(x.Name, y.Name) })
}

// noLogins is why rules over logins are off.
const noLogins = "there are no logins yet"

// withoutLogins disables rules over logins, which would never fire: nothing reads logins yet.
// It is an error of those that should raise alerts.
func (b *Book) withoutLogins(all []*rule.Rule) {
	for _, r := range all {
		if r.Over != rule.Logins || r.Disabled {
			continue
		}
		r.Disabled = true
		if r.Generate {
			b.Bad = append(b.Bad, &rule.Error{File: r.File, Line: r.Line, Err: fmt.Errorf("rule %s: over: logins: flowsnitch reads no logins yet, so it would never fire; set disabled: true, or leave the rule out", r.Name)})
		}
	}
}

// disable finds the rules that are off, and why, and marks them: those that are disabled,
// those that refer to them, and those that only disabled ones refer to.
func (b *Book) disable(c Config, all []*rule.Rule) map[*rule.Rule]string {
	off := make(map[*rule.Rule]string)
	byName := make(map[string]*rule.Rule)
	for _, r := range all {
		if byName[r.Name] == nil {
			byName[r.Name] = r
		}
		switch {
		case r.Disabled && r.Over == rule.Logins:
			off[r] = noLogins
		case r.Disabled:
			off[r] = "disabled in its file"
		}
	}
	for i, name := range c.Disable {
		if r := byName[name]; r != nil {
			off[r] = "disabled in the configuration"
		} else {
			b.Bad = append(b.Bad, fmt.Errorf("rules.disable[%d]: there is no rule %q", i, name))
		}
	}
	users := make(map[*rule.Rule]int)
	for changed := true; changed; {
		changed = false
		clear(users)
		for _, r := range all {
			for _, name := range r.Correlation.Rules {
				o := byName[name]
				if o == nil {
					continue
				}
				if off[r] == "" {
					users[o]++
				}
				if off[o] != "" && off[r] == "" {
					off[r], changed = name+", which it refers to, is off", true
				}
			}
		}
		for _, r := range all {
			if !r.Generate && off[r] == "" && users[r] == 0 && isReferred(all, r) {
				off[r], changed = "no rule that is on refers to it", true
			}
		}
	}
	for r := range off {
		r.Disabled = true
	}
	return off
}

func isReferred(all []*rule.Rule, r *rule.Rule) bool {
	return slices.ContainsFunc(all, func(o *rule.Rule) bool { return slices.Contains(o.Correlation.Rules, r.Name) })
}

// files finds the files of patterns, each once.
func (b *Book) files(patterns []string) (paths []string) {
	for i, pattern := range patterns {
		list := []string{pattern}
		if strings.ContainsAny(pattern, `*?[\`) {
			list, _ = filepath.Glob(pattern) // the pattern is valid
			if folder := filepath.Dir(pattern); len(list) == 0 {
				if _, err := os.ReadDir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(folder, `*?[\`) {
					b.Bad = append(b.Bad, fmt.Errorf("rules.files[%d]: %w", i, err))
				}
			}
		}
		for _, path := range list {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// read reads a file.
func (b *Book) read(path string) []*rule.Rule {
	text, err := readFile(path)
	if err != nil {
		b.Bad = append(b.Bad, err)
		return nil
	}
	list, bad := rule.Read(path, text)
	b.Bad = append(b.Bad, bad...)
	return list
}

func readFile(path string) ([]byte, error) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a regular file")} // opening a pipe may never end
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
