package silence_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// A place is a state directory and a clock of the test's own.
type place struct {
	path string
	fs   disk.FS
	now  time.Time
	news int // calls of Allowed
}

func newPlace(t testing.TB) *place {
	return &place{path: filepath.Join(t.TempDir(), silence.FileName), now: eventtest.At}
}

// open makes a book of what is on the disk.
func (p *place) open(t testing.TB) *silence.Book {
	t.Helper()
	b := silence.New(silence.Config{Path: p.path, FS: p.fs, Now: func() time.Time { return p.now }, Allowed: func() { p.news++ },
		Home: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.64.0.0/16")}})
	if err := b.Load(); err != nil {
		t.Fatal(err)
	}
	return b
}

// request reads the words of a request: "offender=192.0.2.1 for=1h".
func request(t testing.TB, now time.Time, words string) silence.Silence {
	t.Helper()
	v := url.Values{"reason": {"a test"}, "for": {"24h"}}
	for w := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(w, "=")
		v.Set(key, value)
	}
	s, err := silence.Parse(v, now)
	if err != nil {
		t.Fatal(err)
	}
	s.Author = "ann"
	return s
}

func (p *place) add(t testing.TB, b *silence.Book, words string) silence.Silence {
	t.Helper()
	s, err := b.Add(t.Context(), request(t, p.now, words))
	if err != nil {
		t.Fatalf("%s: %v", words, err)
	}
	return s
}

// silenced stamps an event and gives what stands in it then.
func silenced(b *silence.Book, e event.Event) string {
	b.Stamp(&e)
	return e.Silenced
}

// TestConditions: all that are given must fit, and nothing else matters.
func TestConditions(t *testing.T) {
	v6, embedded := eventtest.Hit(), eventtest.Hit()
	v6.Offender, v6.Local = netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("2001:db8:1::5")
	embedded.Offender, embedded.Embedded = netip.MustParseAddr("64:ff9b::203.0.113.9"), netip.MustParseAddr("203.0.113.9")
	hit, alert := eventtest.Hit(), eventtest.Alert() // 203.0.113.9 by feodo and otx, 10.0.0.5, tcp/443; own_address_listed, 198.51.100.7 by otx
	hit.ServicePort, hit.Site = 443, "oslo"
	alone, folded, canary := hit, hit, hit
	alone.Indicators = hit.Indicators[:1]
	folded.Local, folded.ServicePort, folded.Folded = netip.Addr{}, 0, true
	canary.Kind = event.KindCanary
	swarm := eventtest.RuleAlert() // of a rule, 192.0.2.25 at tcp/25
	swarm.Protocol, swarm.HasProtocol, swarm.ServicePort, swarm.Site = 6, true, 25, "bergen-2"
	events := map[string]event.Event{"swarm": swarm, "hit": hit, "v6": v6, "embedded": embedded, "alone": alone, "folded": folded, "alert": alert, "canary": canary}
	for _, tt := range []struct{ words, fits string }{
		{"rule=swarm", "swarm"},
		{"rule=rule_swarm host=192.0.2.25", "swarm"},
		{"rule=swarm host=192.0.2.26", ""},
		{"host=192.0.2.0/24 service=tcp/25", "swarm"},
		{"offender=203.0.113.9", "alone embedded folded hit"},
		{"offender=203.0.113.0/24", "alone embedded folded hit"},
		{"offender=::ffff:203.0.113.9", "alone embedded folded hit"},
		{"offender=203.0.113.8", ""},
		{"offender=2001:db8::/32", "v6"},
		{"offender=198.51.100.7", "alert"},
		{"host=10.0.0.5", "alone embedded hit"},
		{"host=10.0.0.0/24", "alone embedded hit"},
		{"host=2001:db8:1::/48", "v6"},
		{"host=10.0.0.5 site=oslo", "alone hit"},
		{"host=10.0.0.5 site=bergen", ""},
		{"site=oslo", "alone folded hit"},
		{"service=tcp/443", "alone hit"},
		{"service=TCP offender=203.0.113.0/24", "alone embedded folded hit"},
		{"service=TCP host=2001:db8:1::/48", "v6"},
		{"service=udp/443", ""},
		{"service=tcp/22", ""},
		{"feed=feodo", "alone"}, // otx lists the others as well
		{"feed=otx", "alert"},
		{"rule=own_address_listed", "alert"},
		{"rule=own_address_listed offender=198.51.100.0/24", "alert"},
		{"rule=own_address_listed offender=203.0.113.9", ""},
		{"rule=other", ""},
		{"offender=203.0.113.9 host=10.0.0.5 site=oslo service=tcp/443 feed=feodo", "alone"},
		{"offender=203.0.113.9 host=10.0.0.6", ""},
		{"offender=0.0.0.0/0 service=tcp/443", "alone hit"},
		{"host=0.0.0.0/0 offender=203.0.113.9", "alone embedded hit"},
		{"host=10.0.0.0/8 service=tcp/443", "alone hit"},
	} {
		p := newPlace(t)
		b := p.open(t)
		s := p.add(t, b, tt.words)
		var got []string
		for name, e := range events {
			switch silenced(b, e) {
			case s.ID:
				got = append(got, name)
			case "":
			default:
				t.Errorf("%s, %s: another id", tt.words, name)
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); text != tt.fits {
			t.Errorf("%s fits %q, want %q", tt.words, text, tt.fits)
		}
	}
}

// TestRefused: what is wrong, or would silence everything, changes nothing.
func TestRefused(t *testing.T) {
	p := newPlace(t)
	b := p.open(t)
	for words, want := range map[string]string{
		"":                        "everything",
		"offender=0.0.0.0/0":      "everything",
		"offender=::/0":           "everything",
		"host=0.0.0.0/0":          "everything",
		"offender=::/0 host=::/0": "everything",
		"host=10.0.0.0/8":         "all home networks",
		"host=8.0.0.0/5":          "all home networks",
		"service=tcp":             "nearly everything",
		"service=udp host=::/0":   "nearly everything",
		"offender=128.0.0.0/1":    "at least /8",
		"offender=2000::/3":       "at least /16",
		"offender=192.0.2.1 until=2026-11-20T23:00:00Z for=":    "has passed",
		"offender=192.0.2.1 for=100000h":                        "ten years",
		"offender=192.0.2.1 reason=\u202e":                      "reason",
		"offender=192.0.2.1 reason=" + strings.Repeat("x", 257): "257 bytes",
		"feed=" + strings.Repeat("x", 129):                      "128 bytes",
	} {
		_, err := b.Add(t.Context(), request(t, p.now, words))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", words, err, want)
		}
	}
	for _, words := range []string{"service=icmp", "service=tcp/22", "service=tcp feed=otx", "offender=128.0.0.0/1 host=10.0.0.5", "offender=192.0.0.0/8"} {
		if _, err := p.open(t).Add(t.Context(), request(t, p.now, words)); err != nil {
			t.Errorf("%q: %v", words, err)
		}
		if err := os.Remove(p.path); err != nil {
			t.Error(err)
		}
	}
	for words, want := range map[string]string{
		"offender=192.0.2": "offender:", "host=10.0.0.0/33": "host:", "service=tcp/0": "service:", "service=nothing": "service:",
		"service=0": "service:", "for=": "until when", "for=-1h": "for:", "for=7d": "for:", "until=tomorrow for=": "until:", "until=2026-12-01T00:00:00Z": "for and until",
	} {
		v := url.Values{"reason": {"a test"}, "for": {"24h"}, "offender": {"192.0.2.1"}}
		for w := range strings.FieldsSeq(words) {
			key, value, _ := strings.Cut(w, "=")
			v.Set(key, value)
		}
		if _, err := silence.Parse(v, p.now); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", words, err, want)
		}
	}
	for _, text := range []string{"0.0.0.0/0", "10.0.0.0/7", "2000::/15"} {
		if _, err := b.Allow(t.Context(), silence.Allowed{Prefix: netip.MustParsePrefix(text), Reason: "x", Author: "ann", Until: p.now.Add(time.Hour)}); err == nil {
			t.Errorf("%s is allowed", text)
		}
	}
	if len(b.List(true)) != 0 || len(b.AllowList()) != 0 {
		t.Error("something has changed")
	}
	if _, err := os.Stat(p.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was written: %v", err)
	}
}

// TestLife: added, counted, over a restart, ended by the clock to the second, back when the
// clock was wrong, removed.
func TestLife(t *testing.T) {
	p := newPlace(t)
	b := p.open(t)
	hit := eventtest.Hit()
	s := p.add(t, b, "offender=203.0.113.9 for=1h")
	if s.Author != "ann" || s.Reason != "a test" || !s.Until.Equal(p.now.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("got %+v", s)
	}
	if _, err := b.Add(t.Context(), request(t, p.now, "offender=203.0.113.9/32 for=2h")); !errors.Is(err, silence.ErrThere) || !strings.Contains(err.Error(), s.ID) {
		t.Errorf("the same twice: %v", err)
	}
	later := p.add(t, b, "host=10.0.0.5 for=2h")
	for range 3 {
		if got := silenced(b, hit); got != s.ID {
			t.Fatalf("silenced by %q, want the first, %s", got, s.ID)
		}
	}
	if err := b.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = p.open(t) // a restart
	list := b.List(false)
	if len(list) != 2 || list[0].Events != 3 || list[0].BySeverity != [4]uint64{0, 0, 0, 3} || !list[0].Last.Equal(eventtest.At) {
		t.Fatalf("after a restart: %+v", list)
	}
	want := s
	want.Events, want.BySeverity, want.Last = 3, [4]uint64{0, 0, 0, 3}, list[0].Last
	if !reflect.DeepEqual(list[0], want) {
		t.Errorf("after a restart: got\n%+v\nwant\n%+v", list[0], want)
	}
	p.now = s.Until.Add(-1)
	b.Expire()
	if got := silenced(b, hit); got != s.ID {
		t.Errorf("just before the end: %q", got)
	}
	p.now = s.Until
	b.Expire()
	if got := silenced(b, hit); got != later.ID {
		t.Errorf("at the end: %q, want the other", got)
	}
	p.now = s.Until.AddDate(2, 0, 0)
	b.Expire()
	if got := silenced(b, hit); got != "" || len(b.List(false)) != 0 || len(b.List(true)) != 2 {
		t.Errorf("two years ahead: %q, %v", got, b.List(true))
	}
	p.now = s.Until.Add(-time.Minute)
	b.Expire()
	if got := silenced(b, hit); got != s.ID {
		t.Errorf("the clock was wrong: %q", got)
	}
	if _, err := b.Remove(t.Context(), s.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	if got := silenced(b, hit); got != later.ID {
		t.Errorf("removed: %q, want the other", got)
	}
	for _, id := range []string{s.ID, "aaaaaaaa", ""} {
		if _, err := b.Remove(t.Context(), id, "bob"); !errors.Is(err, silence.ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if list := p.open(t).List(true); list[0].RemovedBy != "bob" || list[0].Removed.IsZero() {
		t.Errorf("after a restart: %+v", list[0])
	}
	p.add(t, b, "offender=203.0.113.9 for=1h") // once removed it can be made again
}

// TestAllowed: entries of the allowlist come and go, and whoever makes the table hears of it.
func TestAllowed(t *testing.T) {
	p := newPlace(t)
	b := p.open(t)
	allow := func(prefix string, d time.Duration) error {
		_, err := b.Allow(t.Context(), silence.Allowed{Prefix: netip.MustParsePrefix(prefix), Reason: "ours", Author: "ann", Until: p.now.Add(d)})
		return err
	}
	check := func(what string, news int, want ...string) {
		t.Helper()
		if got := fmt.Sprint(b.Prefixes()); got != fmt.Sprint(want) || p.news != news {
			t.Errorf("%s: %s and %d news, want %s and %d", what, got, p.news, want, news)
		}
	}
	if err := errors.Join(allow("203.0.113.9/32", time.Hour), allow("2001:db8::1/64", 2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	check("added", 2, "203.0.113.9/32", "2001:db8::/64")
	if err := allow("203.0.113.9/32", time.Minute); !errors.Is(err, silence.ErrThere) {
		t.Errorf("an earlier end: %v", err)
	}
	if err := allow("203.0.113.9/32", 90*time.Minute); err != nil {
		t.Error(err)
	}
	b = p.open(t)
	check("after a restart", 3, "2001:db8::/64", "203.0.113.9/32")
	p.now = p.now.Add(90 * time.Minute)
	b.Expire()
	check("one has ended", 4, "2001:db8::/64")
	b.Expire()
	check("nothing new", 4, "2001:db8::/64")
	if _, err := b.Disallow(t.Context(), netip.MustParsePrefix("2001:db8::/64")); err != nil {
		t.Error(err)
	}
	check("removed", 5)
	if _, err := b.Disallow(t.Context(), netip.MustParsePrefix("2001:db8::/64")); !errors.Is(err, silence.ErrUnknown) {
		t.Error(err)
	}
}

// TestTwoOperators: what two add and remove at once is all there, and of the same silence one.
func TestTwoOperators(t *testing.T) {
	p := newPlace(t)
	b := p.open(t)
	var there int
	var mu sync.Mutex
	var group sync.WaitGroup
	for o := range 2 {
		group.Go(func() {
			for i := range 20 {
				s := request(t, p.now, fmt.Sprintf("offender=192.0.2.%d for=1h", i))
				s.Author = fmt.Sprint("operator ", o)
				if _, err := b.Add(t.Context(), s); errors.Is(err, silence.ErrThere) {
					mu.Lock()
					there++
					mu.Unlock()
				} else if err != nil {
					t.Error(err)
				}
				own, err := b.Add(t.Context(), request(t, p.now, fmt.Sprintf("offender=198.51.100.%d site=s%d", i, o)))
				if err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if _, err := b.Remove(t.Context(), own.ID, "ann"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	if got := len(p.open(t).List(false)); there != 20 || got != 20+20 {
		t.Errorf("%d were refused, %d are there", there, got)
	}
}

// TestBounds: no more than a number is in force, and of those that have ended few are kept.
func TestBounds(t *testing.T) {
	p := newPlace(t)
	many := make([]silence.Silence, silence.MaxSilences)
	for i := range many {
		many[i] = request(t, p.now, fmt.Sprintf("offender=198.18.%d.%d for=%dm reason=%s", i/256, i%256, 1+i%50, strings.Repeat("r", 256)))
	}
	b := silence.Filled(silence.Config{Path: p.path, Now: func() time.Time { return p.now }}, many)
	if _, err := b.Add(t.Context(), request(t, p.now, "offender=192.0.2.1")); err == nil || !strings.Contains(err.Error(), "10000 silences") {
		t.Errorf("got %v", err)
	}
	p.now = p.now.Add(time.Hour)
	b.Expire()
	s := p.add(t, b, "offender=192.0.2.1")
	list := p.open(t).List(true)
	if len(list) != 1001 || list[1000].ID != s.ID {
		t.Errorf("%d are kept", len(list))
	}
}

// TestDisk: what cannot be saved does not come into force, what ends ends, and it is said.
func TestDisk(t *testing.T) {
	p := newPlace(t)
	full := false
	p.fs = &disktest.Faults{Hook: func(c disktest.Call) error {
		if full && c.What == "write" {
			return syscall.ENOSPC
		}
		return nil
	}}
	b := p.open(t)
	s := p.add(t, b, "offender=203.0.113.9")
	full = true
	if _, err := b.Add(t.Context(), request(t, p.now, "feed=otx")); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "nothing has changed") {
		t.Errorf("got %v", err)
	}
	if len(b.List(true)) != 1 || b.Stats().Unsaved == "" {
		t.Errorf("%d silences, unsaved %q", len(b.List(true)), b.Stats().Unsaved)
	}
	if _, err := b.Remove(t.Context(), s.ID, "ann"); !errors.Is(err, syscall.ENOSPC) || silenced(b, eventtest.Hit()) != "" {
		t.Errorf("got %v", err)
	}
	full = false
	if err := b.Save(t.Context()); err != nil || len(p.open(t).List(false)) != 0 {
		t.Errorf("what was removed is there again: %v", err)
	}
	p.add(t, b, "feed=otx")
	if b.Stats().Unsaved != "" || len(p.open(t).List(false)) != 1 {
		t.Error("not saved afterwards")
	}
}

// TestUnread: a file that cannot be read now is not replaced by the next change, and can be put
// back.
func TestUnread(t *testing.T) {
	p := newPlace(t)
	p.add(t, p.open(t), "offender=203.0.113.9")
	was, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	p.fs = &disktest.Faults{Hook: func(c disktest.Call) error {
		if c.What == "read" {
			return syscall.EIO
		}
		return nil
	}}
	b := silence.New(silence.Config{Path: p.path, FS: p.fs, Now: func() time.Time { return p.now }})
	if err := b.Load(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	if now, _ := os.ReadFile(p.path); string(now) != string(was) {
		t.Error("the file has changed")
	}
	p.add(t, b, "feed=otx")
	p.add(t, b, "feed=other")
	if kept, err := os.ReadFile(p.path + ".unread"); err != nil || string(kept) != string(was) {
		t.Errorf("got %q, %v", kept, err)
	}
	p.fs = nil
	if list := p.open(t).List(false); len(list) != 2 {
		t.Errorf("got %+v", list)
	}
}

// TestNewer: the file of a newer version is moved aside whole, with what to do, and one who
// only reads leaves it where it is.
func TestNewer(t *testing.T) {
	p := newPlace(t)
	content := []byte(`{"v":2,"silences":{"k7xq2mfa":{"another":"form"}}}`)
	content = fmt.Appendf(content, "\n%08x\n", crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(p.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{true, false} {
		b := silence.New(silence.Config{Path: p.path, Now: func() time.Time { return p.now }, ReadOnly: readOnly})
		err := b.Load()
		if err == nil || !strings.Contains(err.Error(), "a newer version of flowsnitch has written it (form 2, this version knows 1)") {
			t.Fatalf("got %v", err)
		}
		at := p.path
		if !readOnly {
			at += ".newer"
			if !strings.Contains(err.Error(), "moved to "+at) || !strings.Contains(err.Error(), "move it back") {
				t.Errorf("got %v", err)
			}
			p.add(t, b, "feed=otx")
		}
		if kept, err := os.ReadFile(at); err != nil || string(kept) != string(content) {
			t.Errorf("%s has %q, %v", at, kept, err)
		}
	}
}

// TestHangingDisk: a disk that does not answer holds up who wants a change, and nobody else.
func TestHangingDisk(t *testing.T) {
	p := newPlace(t)
	answer, asked := make(chan struct{}), make(chan struct{}, 1)
	hangs := false
	p.fs = &disktest.Faults{Hook: func(c disktest.Call) error {
		if hangs && c.What == "write" {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		}
		return nil
	}}
	b := p.open(t)
	s := p.add(t, b, "offender=203.0.113.9 for=1h")
	hangs = true
	done := make(chan error)
	other := request(t, p.now, "feed=otx")
	go func() {
		_, err := b.Add(context.Background(), other)
		done <- err
	}()
	<-asked
	if silenced(b, eventtest.Hit()) != s.ID || len(b.List(false)) != 1 || b.Stats().Silences != 1 {
		t.Error("who reads is held up or sees a change that is not saved")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Remove(ctx, s.ID, "ann"); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("got %v", err)
	}
	p.now = s.Until
	b.Expire()
	if silenced(b, eventtest.Hit()) != "" {
		t.Error("it does not end")
	}
	close(answer)
	if err := <-done; err != nil || len(b.List(false)) != 1 {
		t.Errorf("got %v, %d silences", err, len(b.List(false)))
	}
}

// TestDamaged: a damaged file is moved aside with one error, wherever it is damaged, and no
// damage is read.
func TestDamaged(t *testing.T) {
	p := newPlace(t)
	b := p.open(t)
	p.add(t, b, "offender=203.0.113.9")
	good, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	for at := -1; at < len(good); at++ {
		bad := slices.Clone(good)
		if at < 0 {
			bad = bad[:len(bad)/2]
		} else {
			bad[at] ^= 1 << (at % 8)
		}
		if err := os.WriteFile(p.path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		read := silence.New(silence.Config{Path: p.path, Now: func() time.Time { return p.now }, ReadOnly: true})
		if err := read.Load(); err == nil {
			t.Fatalf("byte %d: no error", at)
		}
		b := silence.New(silence.Config{Path: p.path, Now: func() time.Time { return p.now }})
		err := b.Load()
		aside, _ := os.ReadFile(p.path + ".damaged")
		if err == nil || !strings.Contains(err.Error(), "moved to") || string(aside) != string(bad) || len(b.List(true)) != 0 {
			t.Fatalf("byte %d: %v, %d silences", at, err, len(b.List(true)))
		}
		if at > 0 {
			continue
		}
		p.add(t, b, "feed=otx")
		if len(p.open(t).List(false)) != 1 {
			t.Error("it does not go on")
		}
	}
}

// TestIndex compares with a book of one silence at a time, for random silences and events.
func TestIndex(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[d.IntN(len(of))] }
	now := eventtest.At
	cfg := silence.Config{Now: func() time.Time { return now }}
	var list []silence.Silence
	for len(list) < 300 {
		var words []string
		for key, value := range map[string]string{
			"offender": pick("", "", "192.0.2.0/30", "192.0.2.1", "192.0.2.0/24", "2001:db8::/48", "2001:db8::1", "0.0.0.0/0"),
			"host":     pick("", "", "10.0.0.0/30", "10.0.0.1", "10.0.0.0/8", "::/0"), "site": pick("", "", "", "a", "b"),
			"service": pick("", "", "", "tcp/22", "tcp", "udp/53", "gre"), "feed": pick("", "", "", "f", "g"), "rule": pick("", "", "", "", "r"),
		} {
			if value != "" {
				words = append(words, key+"="+value)
			}
		}
		s := request(t, now, strings.Join(words, " "))
		if s.Offender.Bits() > 0 || s.Host.Bits() > 0 || s.Site+s.Feed+s.Rule != "" || !s.Service.IsZero() {
			list = append(list, s)
		}
	}
	var single []*silence.Book
	for _, s := range list {
		single = append(single, silence.Filled(cfg, []silence.Silence{s}))
	}
	for range 20 {
		n := 1 + d.IntN(len(list))
		all := silence.Filled(cfg, list[:n])
		ids := all.List(false)
		for range 200 {
			e := eventtest.Hit()
			e.Offender = netip.MustParseAddr(pick("192.0.2.1", "192.0.2.9", "198.51.100.1", "2001:db8::1", "64:ff9b::c000:201"))
			if e.Offender.Is6() && d.IntN(2) == 0 {
				e.Embedded = netip.MustParseAddr("192.0.2.1")
			}
			e.Local = netip.MustParseAddr(pick("10.0.0.1", "10.0.0.9", "172.16.0.1", "2001:db8:1::1"))
			e.Site, e.Protocol, e.ServicePort = pick("", "a", "b"), uint8(d.IntN(2)*11+6), uint16(d.IntN(2)*31+22)
			e.Indicators = e.Indicators[:1+d.IntN(2)]
			e.Indicators[0].Feed = pick("f", "g", "h")
			if d.IntN(4) == 0 {
				e.Kind, e.Alert = event.KindAlert, pick("r", "q")
			}
			want := ""
			for i, b := range single[:n] {
				if silenced(b, e) != "" {
					want = ids[i].ID
					break
				}
			}
			if got := silenced(all, e); got != want {
				t.Fatalf("got %q, want %q for %+v", got, want, e)
			}
		}
	}
}

func FuzzFile(f *testing.F) {
	p := newPlace(f)
	b := p.open(f)
	p.add(f, b, "offender=203.0.113.0/24 host=10.0.0.5 site=oslo service=tcp/22 feed=otx rule=beacon")
	p.add(f, b, "host=2001:db8::/32")
	if _, err := b.Allow(f.Context(), silence.Allowed{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Reason: "ours", Author: "ann", Until: p.now.Add(time.Hour)}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(p.path)
	if err != nil {
		f.Fatal(err)
	}
	line, _, _ := strings.Cut(string(good), "\n")
	f.Add([]byte(line))
	f.Add([]byte(`{"v":1,"silences":[{"id":"aaaaaaaa","offender":"0.0.0.0/0","reason":"\u0000","author":"x"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		both, err := silence.Reread(content)
		if err != nil && strings.Contains(err.Error(), "what was written") || err == nil && both[0] != both[1] {
			t.Errorf("%v, got\n%s\nwant\n%s", err, both[1], both[0])
		}
	})
}

// The cost of a stamp: without silences, and with 10,000 of which none fits, most of them of
// addresses, or all of one offender.
func BenchmarkStamp(b *testing.B) {
	now := eventtest.At
	cfg := silence.Config{Now: func() time.Time { return now }}
	fill := func(words func(i int) string) *silence.Book {
		list := make([]silence.Silence, silence.MaxSilences)
		for i := range list {
			list[i] = request(b, now, words(i))
		}
		return silence.Filled(cfg, list)
	}
	for _, bb := range []struct {
		name string
		book *silence.Book
	}{
		{"none", silence.New(cfg)},
		{"addresses", fill(func(i int) string { return fmt.Sprintf("offender=198.18.%d.%d", i/256, i%256) })},
		{"lengths", fill(func(i int) string {
			return fmt.Sprintf("offender=198.18.%d.%d/%d host=172.16.0.1", i/256, i%256, 9+i%24)
		})},
		{"one offender", fill(func(i int) string { return fmt.Sprintf("offender=203.0.113.9 host=10.1.%d.%d", i/256, i%256) })},
		{"one pair", fill(func(i int) string {
			return fmt.Sprintf("offender=203.0.113.9 host=10.0.0.5 service=udp/%d feed=f%d", 1+i, i)
		})},
	} {
		b.Run(bb.name, func(b *testing.B) {
			e := eventtest.Hit()
			b.ReportAllocs()
			for b.Loop() {
				bb.book.Stamp(&e)
			}
		})
	}
}
