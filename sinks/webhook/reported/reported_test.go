package reported

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func subject(n int) Subject {
	return Subject{Offender: netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)})}
}

// TestKept: what was noted is there after it was saved; the oldest make room.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	m, err := Open(path, noon)
	if err != nil || m.Len() != 0 {
		t.Fatal(err)
	}
	for n := range Max + 5 {
		m.Note(subject(n), Fact{noon.Add(time.Duration(n) * time.Millisecond).Truncate(time.Second), event.Severity(n % 4), n%2 == 0, n%3 == 0})
	}
	alert := Subject{Alert: strings.Repeat("\u2028", 100), Reason: 1<<64 - 1}
	m.Note(alert, Fact{At: noon.Add(time.Hour)})
	m.Note(alert, Fact{At: noon.Add(time.Hour), Severity: event.High})
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, noon.Add(time.Minute))
	if err != nil || again.Len() != Max || !reflect.DeepEqual(again.order, m.order) {
		t.Fatalf("%v, %d", err, again.Len())
	}
	for s, want := range m.facts {
		if s == alert {
			want.At = noon.Add(time.Minute) // not in the future
		}
		if got, ok := again.Of(s); !ok || !got.At.Equal(want.At) || got.Severity != want.Severity || got.Answered != want.Answered || got.Called != want.Called {
			t.Fatalf("%v: got %+v, want %+v", s, got, want)
		}
	}
	if _, ok := again.Of(subject(5)); ok {
		t.Error("the oldest is still there")
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxFile/2 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}

// TestReportedAgain: what was reported again is not among the oldest.
func TestReportedAgain(t *testing.T) {
	m, _ := Open("", noon)
	for n := range Max {
		m.Note(subject(n), Fact{At: noon})
	}
	m.Note(subject(0), Fact{At: noon.Add(time.Hour)})
	for n := range 2 * slack {
		m.Note(subject(Max+n), Fact{At: noon.Add(time.Minute)})
	}
	_, again := m.Of(subject(0))
	_, old := m.Of(subject(1))
	if !again || old || m.Len() > Max+slack {
		t.Errorf("%v, %v, %d", again, old, m.Len())
	}
}

// TestDamaged: a file that is no longer what was written is an error, and a memory of the lines
// before the damage.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	m, _ := Open(path, noon)
	m.Note(subject(1), Fact{At: noon})
	m.Note(subject(2), Fact{At: noon})
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{"format 2": `{"format":2,"facts":0}`, "more than": strings.Repeat(" ", maxFile+1)}
	for n := range len(whole) - 1 {
		cases[fmt.Sprint(n)] = string(whole[:n])
	}
	for name, text := range cases {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := max(strings.Count(text, "}")-1, 0) // the first line has none
		if m, err := Open(path, noon); err == nil || m.Len() != want || strings.Contains(name, " ") && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %d subjects, %v", name, m.Len(), err)
		}
	}
}

// FuzzOpen: whatever the file has, it is read or refused.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"format":1,"facts":1}` + "\n" + `{"offender":"203.0.113.9","at":1795219200,"severity":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &Memory{facts: map[Subject]Fact{}}
		_ = m.read(b, noon)
		for s, fact := range m.facts {
			if fact.At.After(noon) || fact.Severity > event.Critical {
				t.Errorf("%v: %+v", s, fact)
			}
		}
	})
}
