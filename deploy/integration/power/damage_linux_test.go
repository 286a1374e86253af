//go:build integration || soak

package power

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A harm is what was done to a file.
type harm struct {
	file string // below the state directory
	cut  int    // bytes that are gone from its end
	flip int    // how far before the end a bit is another one; 0 = none is
	torn bool   // it does not end with a line
}

// tail is how much of the end of a file may be damaged: what a card had not written.
const tail = 512

// damage harms about half of the files in a state directory.
func damage(t *testing.T, dir string, random *rand.Rand) (done []harm) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || random.IntN(2) == 0 {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err // a lock
		}
		h := harm{file: strings.TrimPrefix(path, dir+"/")}
		at := 1 + random.IntN(min(len(b), tail))
		if random.IntN(2) == 0 {
			h.cut = at
			b = b[:len(b)-at]
		} else {
			h.flip = at
			b[len(b)-at] ^= 1 << random.IntN(8)
		}
		h.torn = len(b) > 0 && b[len(b)-1] != '\n'
		done = append(done, h)
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// said is what the log must tell when a file is damaged, by what its name holds. A
// cursor has two lines, of which one may be damaged without a loss; a bit in a line of the
// hit log is for its readers, and so are whole lines that are gone.
func (h harm) said() string {
	switch name := filepath.Base(h.file); {
	case name == "templates":
		return "templates"
	case name == "clock":
		return "the last trusted time is not known"
	case strings.HasSuffix(name, ".broken"):
		return "" // kept for people, never read
	case strings.HasSuffix(name, ".good"):
		return "the copy of a feed is damaged and kept aside"
	case strings.HasPrefix(h.file, "feeds/") && h.cut == 1:
		return "" // the end of the line carries nothing
	case strings.HasPrefix(h.file, "feeds/feed-") || strings.HasPrefix(h.file, "feeds/list-"):
		return "what was kept of a feed cannot be used"
	case name == "hits.json" && h.torn:
		return "the hit log ended in half a line"
	case strings.HasSuffix(name, ".events"):
		return "the journal was damaged"
	}
	return ""
}
