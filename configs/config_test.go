package configs_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/collect/traffic"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// The reference has the blocks that components bring, too, which the program adds.
func init() {
	configs.AddBlock("traffic", func() any { return traffic.DefaultConfig() })
	configs.AddBlock("enrich", func() any { return enrich.DefaultConfig() })
}

// TestExamples loads every example configuration of this folder.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example configurations: %v", err)
	}
	for _, f := range files {
		if _, err := configs.Load(f); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestReference: the reference file is the built-in configuration, written out.
func TestReference(t *testing.T) {
	got, err := configs.Load("flowsnitch.yml")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := configs.Marshal(configs.Default())
	if b, _ := configs.Marshal(got); string(b) != string(want) {
		t.Errorf("flowsnitch.yml is\n%s\nthe defaults are\n%s", b, want)
	}
}

// TestDefaultRoundTrip: what 'config print' prints can be read again.
func TestDefaultRoundTrip(t *testing.T) {
	want := configs.Default()
	b, err := configs.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := configs.Parse("printed", b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	again, err := configs.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(b) {
		t.Errorf("printed and read again:\n%s\nwant\n%s", again, b)
	}
}

func TestParse(t *testing.T) {
	t.Setenv("TEST_NAME", "pi-oslo")
	c, err := configs.Parse("f", []byte(`
name: ${TEST_NAME}
listen: [{udp: "127.0.0.1:9995", sockets: 2}]
home: [192.0.2.7, 198.51.100.0/24, "2001:db8::/32"]
contact: {idle: 10m}
intel:
  deny: [203.0.113.7]
  feeds: [{file: /x/bad.txt, score: 80}]
sinks: [{jsonlog: {path: /tmp/h.json, mode: 0600}, delivery: {batch: 100}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "pi-oslo" || c.Contact.Sensor != "pi-oslo" {
		t.Errorf("name %q, sensor %q", c.Name, c.Contact.Sensor)
	}
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	if len(c.Home) != 3 || c.Home[0] != want[0] || c.Home[1] != want[1] || c.Home[2] != want[2] {
		t.Errorf("home %v, want %v", c.Home, want)
	}
	if len(c.Listen) != 1 || c.Listen[0].Sockets != 2 || c.Listen[0].Batch == 0 || c.Listen[0].ReceiveBuffer == 0 {
		t.Errorf("listen %+v: want one with two sockets and the defaults for the rest", c.Listen)
	}
	if c.Contact.Idle != 10*time.Minute || c.Contact.MaxContacts == 0 {
		t.Errorf("contact %+v", c.Contact)
	}
	if len(c.Intel.Deny) != 1 || c.Intel.Deny[0] != netip.MustParsePrefix("203.0.113.7/32") {
		t.Errorf("deny %v", c.Intel.Deny)
	}
	if f := c.Intel.Feeds[0]; f.File != "/x/bad.txt" || f.Score != 80 {
		t.Errorf("feed %+v", f)
	}
	if l := c.Sinks[0].JSONLog; l.Mode != 0o600 || l.Keep == 0 || c.Sinks[0].Delivery.Batch != 100 || c.Sinks[0].Delivery.Drain != sinks.DefaultRunnerConfig().Drain {
		t.Errorf("sink %+v", c.Sinks[0])
	}
}

// TestErrors: every mistake is told with place, key and what is allowed.
func TestErrors(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"nam: x\n", "f:1:1: nam: unknown key; allowed are "},
		{"intel:\n  denny: []\n", "f:2:3: intel.denny: unknown key; allowed are allow, allow_names, contact, deny, feeds, fetch, max_indicators, quarantine, warninglists"},
		{"home: 10.0.0.0/8\n", `f:1:7: home: must be a list, not "10.0.0.0/8"`},
		{"home: [10.0.0.0/33]\n", `f:1:8: home[0]: "10.0.0.0/33" is not a prefix such as 192.0.2.0/24, or an IP address`},
		{"nat64: [\"2001:db8::/60\"]\n", "f:1:9: nat64[0]: 2001:db8::/60: the length must be 32, 40, 48, 56, 64 or 96"},
		{"exporters: [{name: a, address: 192.0.2}]\n", `f:1:32: exporters[0].address: "192.0.2" is not an IP address such as 192.0.2.1 or 2001:db8::1`},
		{"contact: {idle: 5}\n", `f:1:17: contact.idle: must be a duration such as 90s, 10m or 1h, not "5"`},
		{"contact: {idle: 5x}\n", `f:1:17: contact.idle: "5x" is not a duration such as 90s, 10m or 1h`},
		{"contact: {idle: 1s}\n", "f:1:17: contact.idle: 1s, allowed are 1m0s to 720h0m0s"},
		{"listen: [{udp: \":99999\"}]\n", `f:1:16: listen[0].udp: ":99999"`},
		{"listen: [{udp: \":2055\", sockets: many}]\n", `f:1:34: listen[0].sockets: must be a whole number, not "many"`},
		{"listen: [{udp: \":2055\", sockets: -1}]\n", `f:1:34: listen[0].sockets: must be a number that is not negative, not "-1"`},
		{"listen: [{udp: \":2055\", sockets: 1000}]\n", "f:1:34: listen[0].sockets: 1000 is outside 1 to 64"},
		{"limits: {exporters: 0}\n", "f:1:21: limits.exporters: 0 is outside 1 to 1000000"},
		{"sinks: [{kafkaa: {}}]\n", "f:1:10: sinks[0].kafkaa: unknown key; allowed are console, delivery, jsonlog, kafka, kinds, syslog, webhook"},
		{"sinks: [{jsonlog: {mode: 9}}]\n", "f:1:26: sinks[0].jsonlog.mode:"},
		{"sinks: [{}]\n", "sinks[0]: names no kind of sink; allowed are jsonlog, console, kafka, syslog, webhook"},
		{"intel: {feeds: [{name: x}]}\n", "intel.feeds[0].url: missing; one of preset, url, file, dir is required"},
		{"intel: {feeds: [{file: x, format: nope}]}\n", `f:1:35: intel.feeds[0].format: unknown feed format "nope"`},
		{"intel: {deny: [0.0.0.0/0]}\n", "f:1:16: intel.deny[0]: 0.0.0.0/0 is everything; allowed are /1 and longer"},
		{"name: ${NOT_SET_ANYWHERE}\n", "f:1:7: name: environment variable NOT_SET_ANYWHERE is not set"},
		{"name: a\nname: b\n", `f:2:1: mapping key "name" already defined`},
		{"home: [\n", "f:1:7: sequence end token ']' not found"},
		{"name: \"\"\n", "f:1:7: name: must not be empty"},
		{"state_dir: \"\"\n", "f:1:12: state_dir: must not be empty"},
		{"listen: []\n", "f:1:9: listen: is empty, so nothing could be received; leave the key out for the usual ports"},
		{"listen: [{udp: \":2055\"}, {udp: \":2055\"}]\n", `f:1:32: listen[1].udp: ":2055" is that of listen[0] too; 'sockets' makes several on one address`},
		{"sinks: []\n", "f:1:8: sinks: is empty, so hits would go nowhere; leave the key out for hit log and terminal"},
		{"sinks: [{jsonlog: {path: /a/b}}, {jsonlog: {path: /a//b}}]\n", "f:1:51: sinks[1].jsonlog.path: /a/b is that of sinks[0] too"},
		{"intel: {feeds: [{file: x, tlp: purple}]}\n", `f:1:32: intel.feeds[0].tlp: "purple"; allowed are white, green, amber, red`},
		{"home: " + strings.Repeat("x", 1000) + "\n", `f:1:7: home: must be a list, not "` + strings.Repeat("x", 60) + `"...`},
		{"- a\n", "f:1:1: must be a block of keys, not a list"},
		{"home: ! \n", "f:1:7: home: tags, anchors and aliases of YAML are not taken"},
		{"name: !!str x\n", "f:1:7: name: tags, anchors and aliases of YAML are not taken"},
		{"name: &n x\n", "f:1:7: name: tags, anchors and aliases of YAML are not taken"},
		{"a: 1\n---\nb: 2\n", "f: 2 documents in one file, only one is supported"},
	}
	for _, tt := range tests {
		_, err := configs.Parse("f", []byte(tt.yaml))
		if err == nil {
			t.Errorf("%q: no error, want %q", tt.yaml, tt.want)
			continue
		}
		if !strings.HasPrefix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q:\n got %q\nwant %q", tt.yaml, err, tt.want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has more than one line: %q", tt.yaml, err)
		}
	}
}

// TestEmpty: a file without a key is a mistake, an explicit {} is the built-in
// configuration, and so is no file at all.
func TestEmpty(t *testing.T) {
	for _, s := range []string{"", "\ufeff", "\n", "# nothing\n", "---\n", "---\n# x\n...\n", "null\n", "~\n", " \r\n"} {
		if _, err := configs.Parse("f", []byte(s)); err == nil || !strings.HasPrefix(err.Error(), "f: has no key") {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"{}\n", "\ufeffname: x\r\n", "# x\n---\nname: x\n...\n"} {
		c, err := configs.Parse("f", []byte(s))
		if err != nil || len(c.Listen) != 3 {
			t.Errorf("%q: %d listeners, %v", s, len(c.Listen), err)
		}
	}
	if c, err := configs.LoadProfile("", ""); err != nil || len(c.Listen) != 3 {
		t.Errorf("without a file %d listeners, %v", len(c.Listen), err)
	}
}

// TestSize: what is too large to be a configuration is refused before it costs anything.
func TestSize(t *testing.T) {
	keys := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	var deep strings.Builder
	for i := range 1000 {
		deep.WriteString(strings.Repeat(" ", i) + "k:\n")
	}
	for name, tt := range map[string]struct{ text, want string }{
		"brackets":           {strings.Repeat("[", 200_000), "f:1:1: more than 64 blocks"},
		"braces":             {strings.Repeat("{", 200_000), "f:1:1: more than 64 blocks"},
		"brackets in lines":  {strings.Repeat("[\n", 200_000), "f:64:1: more than 64 blocks"},
		"dashes":             {strings.Repeat("- ", 200_000) + "a", "f:1:1: more than 64 blocks"},
		"indents":            {deep.String(), "f:65:1: more than 64 blocks"},
		"bytes":              {"name: " + strings.Repeat("x", 2<<20), "f: has more than 1048576 bytes"},
		"comments":           {strings.Repeat("# x\n", 1<<20), "f: has more than 1048576 bytes"},
		"keys":               {keys(100_000, "k%d: 1\n"), "f:1001:1: more than 1000 keys in one block"},
		"keys below":         {"intel:\n" + keys(20_000, "  k%d: 1\n"), "f:1002:1: more than 1000 keys in one block"},
		"keys in an entry":   {"sinks:\n- a: 1\n" + keys(20_000, "  k%d: 1\n"), "more than 1000 keys in one block"},
		"entries":            {"home: [" + strings.Repeat("192.0.2.1, ", 60_000) + "]", "f:1:1: more than 50000 keys and entries"},
		"keys without space": {keys(20_000, "k%d:\n"), "f:1001:1: more than 1000 keys in one block"},
	} {
		if _, err := configs.Parse("f", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	large := "exporters:\n" + keys(200, "- {name: edge-%[1]d, address: 192.0.%[1]d.1, sampling: 1000}\n") +
		"home:\n" + keys(20_000, "  - 10.0.0.0/8 # %d\n") + "listen: [{udp: \"[::1]:2055\"}]\n"
	if c, err := configs.Parse("f", []byte(large)); err != nil || len(c.Exporters) != 200 || len(c.Home) != 20_000 {
		t.Errorf("a large configuration that is none of these: %d exporters, %v", len(c.Exporters), err)
	}
}

// TestCutOff: a file that is the beginning of the one before is known, unless nothing but
// comments is missing, and keys that are gone are named.
func TestCutOff(t *testing.T) {
	const whole = "listen: [{udp: \":1\"}]\nintel:\n  feeds: []\n  deny: [203.0.113.9]\nsinks: [{console: {}}]\n# the end\n"
	before, err := configs.Parse("f", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(whole); n++ {
		next, err := configs.Parse("f", []byte(whole[:n]))
		if err == nil && before.CutOff(&next) == nil && n < strings.Index(whole, "\n# the end") {
			t.Errorf("cut after %d bytes, %q: %v", n, whole[:n], before.CutOff(&next))
		}
	}
	for _, text := range []string{whole, whole + "name: x\n", "name: x\n" + whole, "listen: [{udp: \":1\"}]\n# on purpose\n"} {
		next, err := configs.Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := before.CutOff(&next); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	next, err := configs.Parse("f", []byte("name: x\nintel: {feeds: []}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := before.Gone(&next); !slices.Equal(got, []string{"listen", "sinks"}) {
		t.Errorf("gone are %v", got)
	}
}

// TestNoStateDir: without a directory of our own there is none; one for all users is not
// taken instead.
func TestNoStateDir(t *testing.T) {
	for _, name := range []string{"STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	if _, err := configs.LoadProfile("", ""); err == nil || !strings.HasPrefix(err.Error(), "state_dir: must not be empty, ") {
		t.Errorf("error %v", err)
	}
	if c, err := configs.Parse("f", []byte("state_dir: /srv/x\n")); err != nil || c.StateDir != "/srv/x" {
		t.Errorf("%q, %v", c.StateDir, err)
	}
	t.Setenv("HOME", "/home/x")
	if c, err := configs.LoadProfile("", ""); err != nil || c.StateDir != "/home/x/.local/state/flowsnitch" {
		t.Errorf("%q, %v", c.StateDir, err)
	}
	if _, err := configs.LoadProfile("", "pi"); err == nil || !strings.HasPrefix(err.Error(), `profile: "pi" is unknown`) {
		t.Errorf("error %v", err)
	}
}

// TestKinds: people are spared the canaries, wherever they count what comes; Kafka has a
// topic for them; whoever asks gets them.
func TestKinds(t *testing.T) {
	c, err := configs.Parse("f", []byte(`
state_dir: /srv/x
sinks:
  - jsonlog: {}
  - console: {}
  - webhook: {kind: json, url: "https://hook.example/"}
  - syslog: {servers: ["192.0.2.1:514"], transport: udp}
  - {console: {}, delivery: {filter: {kinds: [canary]}}}
  - {console: {}, kinds: [canary]}
  - {jsonlog: {path: /x}, kinds: [hit, update, alert, canary]}
  - {jsonlog: {path: /y}, kinds: [alert]}
  - kafka: {brokers: ["192.0.2.1:9092"]}
  - {kafka: {name: b, brokers: ["192.0.2.1:9092"]}, kinds: [hit]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, false, false, true, true, true, false, true, false} {
		if got := c.Sinks[i].Delivery.Filter.Passes(event.KindCanary); got != want {
			t.Errorf("sink %d gets canaries: %v", i, got)
		}
	}
}

func TestKindsErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{console: {}, kinds: [hits]}":                                      `sinks[0].kinds[0]: "hits" is not valid; use one of hit, update, alert, canary`,
		"{console: {}, kinds: [hit], delivery: {filter: {kinds: [alert]}}}": "sinks[0].kinds: differs from delivery.filter.kinds",
	} {
		if _, err := configs.Parse("f", []byte("state_dir: /srv/x\nsinks: ["+text+"]\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestStateDir: the default hit log follows the state directory of the file.
func TestStateDir(t *testing.T) {
	c, err := configs.Parse("f", []byte("state_dir: /srv/snitch\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Sinks[0].JSONLog.Path, filepath.Join("/srv/snitch", "hits.json"); got != want {
		t.Errorf("hit log at %s, want %s", got, want)
	}
}

// TestZeros: a zero that is written is a zero, where it is allowed, and not the default; it
// is printed as well, so that what is printed means the same. Without a value a key has its
// default.
func TestZeros(t *testing.T) {
	for text, want := range map[string]string{
		"sinks: [{kafka: {brokers: [\"127.0.0.1:9\"], linger: 0s, timeout: }}]":           "",
		"sinks: [{console: {}, delivery: {drain: 0s, timeout: 0s, filter: {kinds: []}}}]": "",
		"sinks: [{console: {colour: }, delivery: }]":                                      "",
		"listen: [{udp: \":1\", batch: }]":                                                "",
		"sflow: {tunnels: false}":                                                         "",
		"web: {listen: \"\"}":                                                             "",
		"home: []":                                                                        "",
		"intel: {feeds: []}":                                                              "",
		"profile: edge\nintel: {max_indicators: 0}":                                       "f:2:25: intel.max_indicators: ",
		"sinks: [{kafka: {brokers: [\"127.0.0.1:9\"], timeout: 0s}}]":                     "f:1:53: sinks[0].kafka.timeout: 0s is not valid; use 100ms to 5m",
		"sinks: [{jsonlog: {keep: 0}}]":                                                   "f:1:26: sinks[0].jsonlog.keep: 0 old files are not valid",
		"sinks: [{console: {colour: \"\"}}]":                                              "f:1:28: sinks[0].console.colour: \"\"",
		"listen: [{udp: \":1\", sockets: 0}]":                                             "f:1:31: listen[0].sockets: 0 is outside 1 to 64",
		"listen: [{sockets: 2}]":                                                          "f:1:10: listen[0].udp: ",
		"sinks: [{console: }]":                                                            "f:1:9: sinks[0]: names no kind of sink",
	} {
		c, err := configs.Parse("f", []byte(text))
		if want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b, err := configs.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := configs.Parse("printed", b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if keys := configs.Changed(&c, &again); keys != nil {
			t.Errorf("%s: %q differ after printing", text, keys)
		}
	}
	c, err := configs.Parse("f", []byte("sinks: [{kafka: {brokers: [\"127.0.0.1:9\"], linger: 0s}, delivery: {timeout: 0s}}]"))
	if err != nil || c.Sinks[0].Kafka.Linger != 0 || c.Sinks[0].Delivery.Timeout != 0 || c.Sinks[0].Kafka.Timeout == 0 {
		t.Errorf("%+v, %v", c.Sinks[0], err)
	}
}

// TestCanariesAreNotForPeople: by default Kafka gets everything, the other sinks get all
// but canaries, and a list of kinds holds as it is written.
func TestCanariesAreNotForPeople(t *testing.T) {
	c, err := configs.Parse("f", []byte("sinks: [{jsonlog: {path: /x}}, {kafka: {brokers: [\"127.0.0.1:9092\"]}}, {syslog: {servers: [\"127.0.0.1:514\"]}}, "+
		"{console: {}}, {webhook: {kind: json, url: \"http://127.0.0.1/\"}}, "+
		"{webhook: {name: b, kind: json, url: \"http://127.0.0.1/\"}, delivery: {filter: {kinds: [canary]}}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[event.Kind]bool{
		{event.KindHit: true, event.KindUpdate: true, event.KindAlert: true},
		{event.KindHit: true, event.KindUpdate: true, event.KindAlert: true, event.KindCanary: true},
		{event.KindHit: true, event.KindUpdate: true, event.KindAlert: true},
		{event.KindHit: true, event.KindUpdate: true, event.KindAlert: true},
		{event.KindHit: true, event.KindUpdate: true, event.KindAlert: true},
		{event.KindCanary: true},
	} {
		for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
			if got := c.Sinks[i].Delivery.Filter.Passes(kind); got != want[kind] {
				t.Errorf("sink %d, %s: %v", i, kind, got)
			}
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, err := configs.Load(filepath.Join(t.TempDir(), "none.yml"))
	if err == nil || !strings.HasSuffix(err.Error(), "none.yml: no such file or directory") || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("error %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err
		}
		err = u.Unwrap()
	}
}

// FuzzParse: no document makes the loader panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "name: x\n", "listen: [{udp: \":1\"}]\n", "a: &x [*x]\n", "sinks: [{jsonlog: {}}]\n", "home: !!str 1\n", "intel: {deny: [${X}]}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := configs.Parse("f", b); err != nil && err.Error() == "" {
			t.Error("an error without a text")
		}
	})
}
