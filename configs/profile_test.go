package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// TestProfile: a profile holds where the configuration says nothing, and nowhere else.
func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yml")
	if err := os.WriteFile(file, []byte("profile: edge\ncontact: {idle: 5m}\njournal: {spill_after: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usual := Default()
	alone, err := LoadProfile("", "edge")
	if err != nil {
		t.Fatal(err)
	}
	named, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{alone, named} {
		if c.Profile != "edge" || c.Journal.Durability != journal.OnOutage || c.Contact.MaxContacts != 20_000 || c.MemoryLimit != 300<<20 ||
			c.History.Flush != time.Hour || c.History.MaxContacts != 49152 || c.History.MaxContacts6 != 12288 || !c.History.Enabled || len(c.Sinks) != 1 || c.Sinks[0].JSONLog.Keep != 3 {
			t.Errorf("%+v", c)
		}
		if len(c.Listen) != len(usual.Listen) || len(c.Intel.Feeds) != len(usual.Intel.Feeds) || c.Limits.Samplers != usual.Limits.Samplers {
			t.Errorf("what the profile leaves out is not as usual: %+v", c)
		}
	}
	if alone.Contact.Idle != time.Hour || named.Contact.Idle != 5*time.Minute || named.Journal.SpillAfter != time.Minute {
		t.Errorf("idle %v and %v, spill after %v", alone.Contact.Idle, named.Contact.Idle, named.Journal.SpillAfter)
	}
	if _, err := Parse("f", []byte("name: x\nprofile: edg\n")); err == nil || !strings.Contains(err.Error(), `f:2:1: profile: "edg" is unknown; allowed are edge`) &&
		!strings.Contains(err.Error(), `f:2:10: profile: "edg" is unknown; allowed are edge`) {
		t.Errorf("error %v", err)
	}
}
