package app

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

// TestMemoryTogether: what all parts take at their default caps, each by tests and
// measurements of its own, stays within the memory that the package gives the service, and
// that the profile edge has.
func TestMemoryTogether(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "package", "flowsnitch.service"))
	if err != nil || !regexp.MustCompile(`(?m)^MemoryMax=1G$`).Match(unit) {
		t.Fatalf("the unit has no MemoryMax=1G, which this test is about: %v", err)
	}
	edge, err := configs.LoadProfile("", "edge")
	if err != nil {
		t.Fatal(err)
	}
	const mb = 1_000_000
	for _, c := range []struct {
		name        string
		cfg         configs.Config
		parts, most int // without rules and history; parts: set, exporters and decoder, contacts; one of write, merge and hunt; incidents
		rules       int // what their block allows
	}{
		{"usual, 1,000,000 indicators", configs.Default(), (150 + 80 + 75 + 200 + 64) * mb, 1 << 30, 64 * mb},
		{"edge, 100,000 indicators", edge, (24 + 20 + 8) * mb, 96 * mb, 12 * mb},
	} {
		workers := 0
		for _, l := range c.cfg.Listen {
			workers += max(l.Sockets, 1)
		}
		// 75 and 108 bytes a contact, with its part of the index: TestTableMemory of flow/history.
		caps := table.Caps{V4: c.cfg.History.MaxContacts, V6: c.cfg.History.MaxContacts6}
		tables := 2 * workers * (75*caps.V4 + 108*caps.V6)
		r := &ruleRunner{cfg: c.cfg.Rules, book: &rulebook.Book{}}
		rules := r.engine(rule.Hits).MaxBytes + r.engine(rule.Contacts).MaxBytes + contactsOfRules(c.cfg.Rules)*hits.ContactBytes
		if most := int(c.cfg.Rules.MaxBytes); rules > most || rules < most-hits.ContactBytes || c.rules != most {
			t.Errorf("%s: rules have %d bytes of %d, want %d", c.name, rules, most, c.rules)
		}
		if e := r.engine(rule.Hits); e.MaxBytes != r.engine(rule.Contacts).MaxBytes || e.MaxGroups != c.cfg.Rules.MaxGroups/2 {
			t.Errorf("%s: the engine over hits has %d groups and %d bytes", c.name, e.MaxGroups, e.MaxBytes)
		}
		if sum := c.parts + tables + rules; sum > c.most {
			t.Errorf("%s: %d MB, of which the history of %d workers %d MB; at most %d MB", c.name, sum/mb, workers, tables/mb, c.most/mb)
		} else {
			t.Logf("%s: %d MB, of which the history of %d workers %d MB; at most %d MB", c.name, sum/mb, workers, tables/mb, c.most/mb)
		}
	}
}

// TestMemoryStatus: what is held counts, what was given back does not.
func TestMemoryStatus(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory()
	before := memoryStatus()
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	held := memoryStatus()
	runtime.KeepAlive(block)
	block = nil
	debug.FreeOSMemory()
	after := memoryStatus()
	if held.InUse < before.InUse+size/2 || after.InUse > held.InUse-size/2 {
		t.Errorf("%d bytes before, %d with %d more, %d without them", before.InUse, held.InUse, size, after.InUse)
	}
	if before.Goroutines == 0 {
		t.Error("no goroutine runs this test")
	}
}
