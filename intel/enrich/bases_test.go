package enrich

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

type text = mmdbtype.String

func mapOf(pairs ...any) mmdbtype.Map {
	m := mmdbtype.Map{}
	for i := 0; i < len(pairs); i += 2 {
		m[text(pairs[i].(string))] = pairs[i+1].(mmdbtype.DataType)
	}
	return m
}

// base makes a database with records for documentation prefixes and others.
func base(t testing.TB, kind string, built time.Time, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: built.Unix(), IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range records {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func named(code string) mmdbtype.Map {
	return mapOf("iso_code", text(code), "geoname_id", mmdbtype.Uint32(1), "names", mapOf("en", text("A land"), "de", text("Ein Land")))
}

// The layouts of those who publish such databases, with their own field names.
func layouts(t testing.TB, built time.Time) map[string][]byte {
	return map[string][]byte{
		"GeoLite2-Country": base(t, "GeoLite2-Country", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("continent", mapOf("code", text("OC")), "country", named("AU"), "registered_country", named("NZ")),
			"198.51.100.0/24": mapOf("registered_country", named("US")), // anycast
			"2001:db8::/32":   mapOf("country", named("NO"), "registered_country", named("NO")),
		}),
		"GeoLite2-City": base(t, "GeoLite2-City", built, map[string]mmdbtype.Map{
			"203.0.113.0/24": mapOf("city", mapOf("names", mapOf("en", text("Perth"))), "country", named("AU"),
				"location", mapOf("latitude", mmdbtype.Float64(-31), "accuracy_radius", mmdbtype.Uint16(20)),
				"subdivisions", mmdbtype.Slice{mapOf("iso_code", text("WA"))}),
			"198.51.100.0/24": mapOf("registered_country", named("US")),
			"2001:db8::/32":   mapOf("country", named("NO")),
		}),
		"GeoLite2-ASN": base(t, "GeoLite2-ASN", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("autonomous_system_number", mmdbtype.Uint32(64496), "autonomous_system_organization", text("Example Net")),
			"198.51.100.0/24": mapOf("autonomous_system_number", mmdbtype.Uint32(4200000000), "autonomous_system_organization", text("Évil \x1b[31mNet\u202e\n<b>")),
			"2001:db8::/32":   mapOf("autonomous_system_number", mmdbtype.Uint32(64497)),
		}),
		"DBIP-Country-Lite": base(t, "DBIP-Country-Lite", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("continent", mapOf("code", text("OC")), "country", mapOf("iso_code", text("AU"), "is_in_european_union", mmdbtype.Bool(false))),
			"198.51.100.0/24": mapOf("country", mapOf("iso_code", text("US"))),
			"2001:db8::/32":   mapOf("country", mapOf("iso_code", text("NO"))),
		}),
		"DBIP-ASN-Lite": base(t, "DBIP-ASN-Lite (compat=GeoLite2-ASN)", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("autonomous_system_number", mmdbtype.Uint32(64496), "autonomous_system_organization", text("Example Net")),
			"198.51.100.0/24": mapOf("autonomous_system_number", mmdbtype.Uint32(4200000000), "autonomous_system_organization", text("Évil \x1b[31mNet\u202e\n<b>")),
			"2001:db8::/32":   mapOf("autonomous_system_number", mmdbtype.Uint32(64497)),
		}),
		"ipinfo lite": base(t, "ipinfo bundle_location_lite.mmdb", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("country", text("Australia"), "country_code", text("AU"), "continent_code", text("OC"), "asn", text("AS64496"), "as_name", text("Example Net"), "as_domain", text("example.net")),
			"198.51.100.0/24": mapOf("country", text("United States"), "country_code", text("US"), "asn", text("AS4200000000"), "as_name", text("Évil \x1b[31mNet\u202e\n<b>")),
			"2001:db8::/32":   mapOf("country", text("Norway"), "country_code", text("no"), "asn", text("AS64497"), "as_name", text("")),
		}),
		"ipinfo country_asn": base(t, "ipinfo generic_country_asn.mmdb", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("country", text("AU"), "country_name", text("Australia"), "asn", text("AS64496"), "as_name", text("Example Net")),
			"198.51.100.0/24": mapOf("country", text("US"), "asn", text("AS4200000000"), "as_name", text("Évil \x1b[31mNet\u202e\n<b>")),
			"2001:db8::/32":   mapOf("country", text("NO"), "asn", text("AS64497")),
		}),
		"ipinfo asn": base(t, "ipinfo standard_asn.mmdb", built, map[string]mmdbtype.Map{
			"203.0.113.0/24":  mapOf("asn", text("AS64496"), "name", text("Example Net"), "domain", text("example.net"), "type", text("isp")),
			"198.51.100.0/24": mapOf("asn", text("AS4200000000"), "name", text("Évil \x1b[31mNet\u202e\n<b>")),
			"2001:db8::/32":   mapOf("asn", text("AS64497")),
		}),
	}
}

// put replaces a file as the downloaders do: a new one beside it, then a rename.
func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func start(t testing.TB, cfg Config) *Bases {
	t.Helper()
	b := New(cfg)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { halt(t, b) })
	return b
}

func halt(t testing.TB, b *Bases) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func configured(paths ...string) Config {
	cfg := DefaultConfig()
	cfg.MMDB = paths
	return cfg
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestLayouts: what each publisher has comes out alike, alone and with the others, in any
// order.
func TestLayouts(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	want := map[string]Place{
		"203.0.113.9":        {"AU", 64496, "Example Net"},
		"::ffff:203.0.113.9": {"AU", 64496, "Example Net"},
		"198.51.100.1":       {"US", 4200000000, "Évil Net <b>"},
		"2001:db8::1":        {"NO", 64497, ""},
		"2001:db8::1%eth0":   {"NO", 64497, ""},
		"192.0.2.1":          {},
		"10.0.0.1":           {},
	}
	for name, data := range layouts(t, time.Now()) {
		path := filepath.Join(dir, name+".mmdb")
		put(t, path, data)
		paths = append(paths, path)
		b := start(t, configured(path))
		for range 2 { // from the file, and from the cache
			for a, w := range want {
				if strings.Contains(strings.ToLower(name), "asn") && name != "ipinfo country_asn" {
					w.Country = ""
				}
				if strings.HasSuffix(name, "Country") || strings.HasSuffix(name, "City") || strings.HasSuffix(name, "Country-Lite") {
					w.ASNumber, w.ASName = 0, ""
				}
				if got := b.Lookup(addr(a)); got != w {
					t.Errorf("%s: %s: got %+v, want %+v", name, a, got, w)
				}
			}
		}
		if f := b.check(time.Now()); f.State != observe.OK {
			t.Errorf("%s: %s", name, f.Text)
		}
		if f := b.check(time.Now().Add(time.Hour)); f.State != observe.Warning || !strings.Contains(f.Text, "have not been looked at for a while") {
			t.Errorf("%s: %v %s", name, f.State, f.Text)
		}
	}
	for range len(paths) {
		paths = append(paths[1:], paths[0])
		b := start(t, configured(paths...))
		for a, w := range want {
			if got := b.Lookup(addr(a)); got != w {
				t.Errorf("%v: %s: got %+v, want %+v", paths, a, got, w)
			}
		}
	}
}

// TestStamp: events come with the country and the AS of their offender, of the address within
// it first; what is off, unknown or a canary stays as it is. Nothing is allocated for it.
func TestStamp(t *testing.T) {
	all := layouts(t, time.Now())
	c, a := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "a")
	put(t, c, all["GeoLite2-Country"])
	put(t, a, all["GeoLite2-ASN"])
	b := start(t, configured(c, a))
	example := event.Event{Country: "AU", ASNumber: 64496, ASName: "Example Net"}
	for name, tt := range map[string]struct{ e, want event.Event }{
		"hit":      {event.Event{Kind: event.KindHit, Offender: addr("203.0.113.9")}, example},
		"update":   {event.Event{Kind: event.KindUpdate, Offender: addr("203.0.113.9")}, example},
		"alert":    {event.Event{Kind: event.KindAlert, Offender: addr("203.0.113.9")}, example},
		"embedded": {event.Event{Kind: event.KindHit, Offender: addr("2001:db8::1"), Embedded: addr("203.0.113.9")}, example},
		"half": {event.Event{Kind: event.KindHit, Offender: addr("2001:db8::1"), Embedded: addr("192.0.2.1")},
			event.Event{Country: "NO", ASNumber: 64497}},
		"unknown":     {event.Event{Kind: event.KindHit, Offender: addr("192.0.2.1")}, event.Event{}},
		"canary":      {event.Event{Kind: event.KindCanary, Offender: addr("203.0.113.9")}, event.Event{}},
		"no offender": {event.Event{Kind: event.KindAlert}, event.Event{}},
	} {
		b.Stamp(&tt.e)
		if tt.e.Country != tt.want.Country || tt.e.ASNumber != tt.want.ASNumber || tt.e.ASName != tt.want.ASName {
			t.Errorf("%s: got %q %d %q", name, tt.e.Country, tt.e.ASNumber, tt.e.ASName)
		}
	}
	if s := b.Stats(); s.Known != 5 || s.Unknown != 1 {
		t.Errorf("%+v", s)
	}
	e := event.Event{Kind: event.KindHit, Offender: addr("203.0.113.9")}
	off := New(DefaultConfig())
	if n := testing.AllocsPerRun(100, func() { b.Stamp(&e); off.Stamp(&e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestForeign: records of another kind, or with wrong types, give nothing; names are cut.
func TestForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mmdb")
	put(t, path, base(t, "x", time.Now(), map[string]mmdbtype.Map{
		"1.0.0.0/24": mapOf("country", mmdbtype.Slice{text("AU")}),
		"1.0.1.0/24": mapOf("country", mapOf("iso_code", text("A<"))),
		"1.0.2.0/24": mapOf("country_code", text("AUS"), "asn", text("AS99999999999"), "as_name", text("x")),
		"1.0.3.0/24": mapOf("autonomous_system_number", text("AS1")),
		"1.0.4.0/24": mapOf("autonomous_system_number", mmdbtype.Uint32(1), "autonomous_system_organization", text(strings.Repeat("ä", 60_000))),
		"1.0.5.0/24": mapOf("autonomous_system_organization", text("a name alone")),
		"1.0.6.0/24": mapOf("asn", text("64500"), "as_name", text(" \t ")),
	}))
	b := start(t, configured(path))
	for a, want := range map[string]Place{
		"1.0.0.1": {}, "1.0.1.1": {}, "1.0.2.1": {}, "1.0.3.1": {}, "1.0.5.1": {},
		"1.0.4.1": {"", 1, strings.Repeat("ä", maxName/2) + "…"},
		"1.0.6.1": {"", 64500, ""},
	} {
		if got := b.Lookup(addr(a)); got != want {
			t.Errorf("%s: got %+v, want %+v", a, got, want)
		}
	}
}

// TestOther: a database of something else is refused with its kind, and what the others have is
// shown: a second one of countries where one of AS was meant is seen.
func TestOther(t *testing.T) {
	dir := t.TempDir()
	everywhere := func(record mmdbtype.Map) map[string]mmdbtype.Map {
		list := map[string]mmdbtype.Map{}
		for n := range 64 {
			list[netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + n), 0, 0, 0}), 8).String()] = record
		}
		return list
	}
	var paths []string
	for k, record := range []mmdbtype.Map{
		mapOf("connection_type", text("Cable/DSL")), mapOf("country", named("AU")),
		mapOf("autonomous_system_number", mmdbtype.Uint32(64496)), mapOf("country_code", text("NO"), "asn", text("AS64497")),
	} {
		paths = append(paths, filepath.Join(dir, strconv.Itoa(k)))
		put(t, paths[k], base(t, "Kind-"+strconv.Itoa(k), time.Now(), everywhere(record)))
	}
	b := start(t, configured(paths...))
	for k, f := range b.Stats().Files {
		if want := []string{"", "country", "AS", "country and AS"}[k]; f.Has != want || f.Loaded == (k == 0) {
			t.Errorf("%+v, want %q", f, want)
		}
	}
	if f := b.check(time.Now()); f.State != observe.Warning || !strings.Contains(f.Text, "has neither countries nor AS (it is a Kind-0)") {
		t.Errorf("%v %s", f.State, f.Text)
	}
	if got := b.Lookup(addr("20.1.2.3")); got.Country != "AU" || got.ASNumber != 64496 {
		t.Errorf("got %+v", got)
	}
}

// TestReload: a changed file is taken once it is whole; until then, and when it is damaged,
// cut short or gone, the old copy answers and the check says so.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c.mmdb")
		country := func(code string) []byte {
			return base(t, "GeoLite2-Country", time.Now(), map[string]mmdbtype.Map{"203.0.113.0/24": mapOf("country", named(code))})
		}
		b := start(t, configured(path))
		expect := func(code string, state observe.State, words string) {
			t.Helper()
			time.Sleep(2*lookEvery + time.Second)
			f := b.check(time.Now())
			if got := b.Lookup(addr("203.0.113.9")).Country; got != code || f.State != state || !strings.Contains(f.Text, words) {
				t.Errorf("got %q, %v %s; want %q, %v, %s", got, f.State, f.Text, code, state, words)
			}
		}
		expect("", observe.Warning, "no such file or directory: events come without")
		put(t, path, country("AU"))
		expect("AU", observe.OK, "")
		put(t, path, country("NZ"))
		expect("NZ", observe.OK, "")
		half := country("FJ")
		if err := os.WriteFile(path, half[:len(half)/2], 0o644); err != nil { // in place
			t.Fatal(err)
		}
		expect("NZ", observe.Warning, "is damaged, or no database of the MaxMind format")
		put(t, path, bytes.Replace(half, half[:200], bytes.Repeat([]byte{0xff}, 200), 1))
		expect("NZ", observe.Warning, "stays in use")
		put(t, path, nil)
		expect("NZ", observe.Warning, "is empty")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("NZ", observe.Warning, "the copy of 2000-01-01 stays in use")
		put(t, path, half)
		expect("FJ", observe.OK, "")
		if s := b.Stats(); s.Loads != 3 || s.Refused != 3 || len(s.Files) != 1 || s.Files[0].Type != "GeoLite2-Country" {
			t.Errorf("%+v", s)
		}
		time.Sleep(oldAfter)
		expect("FJ", observe.Warning, "are 60 days old")
		halt(t, b)
		if got := b.Lookup(addr("203.0.113.9")); got.Known() {
			t.Errorf("after the stop %+v", got)
		}
	})
}

// TestWritten: a file that changes from look to look is not read before it rests.
func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c.mmdb")
		b := start(t, configured(path))
		whole := base(t, "x", time.Now(), map[string]mmdbtype.Map{"203.0.113.0/24": mapOf("country", named("AU"))})
		for n := range 10 {
			if err := os.WriteFile(path, whole[:len(whole)*(n+1)/10], 0o644); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookEvery * 2 / 3)
		}
		time.Sleep(2*lookEvery + time.Second)
		if s := b.Stats(); s.Loads != 1 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestBounds: what is no file, or too large, is refused without waiting for it; what others
// take counts.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	pipe, small, sparse := filepath.Join(dir, "pipe"), filepath.Join(dir, "small.mmdb"), filepath.Join(dir, "sparse.mmdb")
	makePipe(t, pipe)
	put(t, small, base(t, "x", time.Now(), map[string]mmdbtype.Map{"203.0.113.0/24": mapOf("country", named("AU"))}))
	put(t, sparse, nil)
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	b := start(t, configured(pipe, dir, sparse, small, "/dev/zero"))
	if got := b.Lookup(addr("203.0.113.9")).Country; got != "AU" {
		t.Errorf("got %q", got)
	}
	f := b.check(time.Now())
	for _, want := range []string{"pipe is not a file", dir + " is not a file", "has 1099511627776 bytes, and enrich.max_bytes leaves 268435456", "/dev/zero is not a file"} {
		if !strings.Contains(f.Text, want) {
			t.Errorf("%s is missing in %s", want, f.Text)
		}
	}
	big := base(t, "x", time.Now(), map[string]mmdbtype.Map{"203.0.113.0/24": mapOf("as_name", text("x"))})
	end := bytes.LastIndex(big, []byte("\xab\xcd\xefMaxMind.com"))
	big = slices.Concat(big[:end], make([]byte, 700<<10), big[end:]) // data that no record has
	put(t, sparse, big)
	put(t, pipe, big)
	cfg := configured(sparse, pipe)
	cfg.MaxBytes = 1 << 20
	if f := start(t, cfg).check(time.Now()); !strings.Contains(f.Text, "pipe has ") || strings.Contains(f.Text, "sparse.mmdb has") {
		t.Errorf("%s", f.Text)
	}
}

func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := layouts(t, time.Now())
		dir := t.TempDir()
		c, a := filepath.Join(dir, "c"), filepath.Join(dir, "a")
		put(t, c, all["GeoLite2-Country"])
		put(t, a, all["GeoLite2-ASN"])
		b := start(t, configured())
		if b.Stats() != nil || b.check(time.Now()).State != observe.OK {
			t.Error("off is shown")
		}
		for _, cfg := range []Config{configured(c), configured(a, c), configured(a), configured()} {
			if err := b.Reconfigure(cfg); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			got, want := b.Lookup(addr("203.0.113.9")), Place{"AU", 64496, "Example Net"}
			if !strings.Contains(strings.Join(cfg.MMDB, " "), c) {
				want.Country = ""
			}
			if !strings.Contains(strings.Join(cfg.MMDB, " "), a) {
				want.ASNumber, want.ASName = 0, ""
			}
			if got != want {
				t.Errorf("%v: %+v", cfg.MMDB, got)
			}
		}
		if s := b.loads.Load(); s != 2 {
			t.Errorf("%d files read, want each once", s)
		}
	})
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		`mmdb[0]: "GeoLite2.mmdb" is not valid; use the whole path of a file`: {MMDB: []string{"GeoLite2.mmdb"}, MaxBytes: 1 << 30},
		`mmdb[1]: "/a" is there twice`:                                        {MMDB: []string{"/a", "/a"}, MaxBytes: 1 << 30},
		`mmdb: 9 files, at most 8`:                                            {MMDB: make([]string, 9), MaxBytes: 1 << 30},
		`max_bytes: 1000 is not valid; use 1MiB to 4GiB`:                      {MaxBytes: 1000},
	} {
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// TestRegister holds the contract of sections.
func TestRegister(t *testing.T) {
	var r observe.Registry
	New(DefaultConfig()).Register(r.Component("enrich"))
	for _, c := range r.Complaints() {
		t.Error(c)
	}
}

// TestConcurrent: lookups while files are exchanged never see memory that was given back.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.mmdb")
	all := layouts(t, time.Now())
	put(t, path, all["ipinfo lite"])
	b := start(t, configured(path))
	stop := make(chan struct{})
	done := make(chan struct{})
	for range 2 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
					if got := b.Lookup(addr("203.0.113.9")); got.Country != "AU" {
						t.Errorf("got %+v", got)
						return
					}
				}
			}
		}()
	}
	for n := range 6 {
		put(t, path, all[[]string{"GeoLite2-Country", "ipinfo lite"}[n%2]])
		if err := b.Reconfigure(configured(path)); err != nil {
			t.Fatal(err)
		}
		for b.loads.Load() < uint64(n)+2 && !t.Failed() {
			_ = b.Reconfigure(configured(path))
			b.Stats()
		}
	}
	close(stop)
	<-done
	<-done
}

// FuzzDatabase: whatever a file has, it is refused or answers.
func FuzzDatabase(f *testing.F) {
	for _, data := range layouts(f, time.Unix(1e9, 0)) {
		f.Add(data, uint32(0xcb007109))
	}
	f.Fuzz(func(t *testing.T, data []byte, v4 uint32) {
		r, _, err := parse(data, 4)
		if err != nil {
			return
		}
		db := &database{reader: r, cache: map[uintptr]Place{}}
		for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)}), addr("2001:db8::1")} {
			p, _ := db.lookup(a)
			if len(p.ASName) > maxName+len("…") || p.Country != country(p.Country) {
				t.Errorf("%+v", p)
			}
		}
	})
}

// BenchmarkLookup is what one event costs, of a record that was decoded before and of one
// that was not.
func BenchmarkLookup(b *testing.B) {
	records := map[string]mmdbtype.Map{}
	for n := range 20_000 {
		records[netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 0}), 24).String()] = mapOf(
			"autonomous_system_number", mmdbtype.Uint32(n+1), "autonomous_system_organization", text("Example Net "+string(rune('a'+n%26))))
	}
	path := filepath.Join(b.TempDir(), "a.mmdb")
	put(b, path, base(b, "GeoLite2-ASN", time.Now(), records))
	bases := start(b, configured(path))
	for name, distinct := range map[string]int{"cached": 1000, "decoded": 20_000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				bases.Lookup(netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 9}))
				if n++; n == distinct {
					n = 0
				}
			}
		})
	}
}

// BenchmarkStamp is what databases of countries and AS add to one event, and what it costs when
// there are none.
func BenchmarkStamp(b *testing.B) {
	countries, networks := map[string]mmdbtype.Map{}, map[string]mmdbtype.Map{}
	for n := range 20_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 0}), 24).String()
		countries[p] = mapOf("country", named([]string{"AU", "NO", "NZ"}[n%3]))
		networks[p] = mapOf("autonomous_system_number", mmdbtype.Uint32(n%1000+1), "autonomous_system_organization", text("Example Net "+strconv.Itoa(n%1000)))
	}
	c, a := filepath.Join(b.TempDir(), "c.mmdb"), filepath.Join(b.TempDir(), "a.mmdb")
	put(b, c, base(b, "GeoLite2-Country", time.Now(), countries))
	put(b, a, base(b, "GeoLite2-ASN", time.Now(), networks))
	for name, bases := range map[string]*Bases{"none": New(DefaultConfig()), "two": start(b, configured(c, a))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			e, n := event.Event{Kind: event.KindHit}, 0
			for b.Loop() {
				e.Offender = netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 9})
				bases.Stamp(&e)
				if n++; n == 20_000 {
					n = 0
				}
			}
		})
	}
}
