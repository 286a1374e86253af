package udp

import (
	"net/netip"
	"strings"
	"testing"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   []string // parts of the error; none: valid
	}{
		"v4":             {func(c *Config) { c.Listen = "127.0.0.1:2055" }, nil},
		"v6":             {func(c *Config) { c.Listen = "[::1]:4739" }, nil},
		"link-local":     {func(c *Config) { c.Listen = "[fe80::1%lo]:4739" }, nil},
		"no port":        {func(c *Config) { c.Listen = "127.0.0.1" }, []string{"udp: ", "host:port"}},
		"empty":          {func(c *Config) { c.Listen = "" }, []string{"udp: "}},
		"port word":      {func(c *Config) { c.Listen = ":netflow" }, []string{"udp: ", `port "netflow"`}},
		"port high":      {func(c *Config) { c.Listen = ":65536" }, []string{"udp: ", "65535"}},
		"name":           {func(c *Config) { c.Listen = "localhost:2055" }, []string{"udp: ", "not a name"}},
		"no sockets":     {func(c *Config) { c.Sockets = 0 }, []string{"sockets: 0 is outside 1 to 64"}},
		"many sockets":   {func(c *Config) { c.Sockets = 65 }, []string{"sockets: 65"}},
		"small buffer":   {func(c *Config) { c.ReceiveBuffer = 1 }, []string{"receive_buffer: 1 "}},
		"batch":          {func(c *Config) { c.Batch = 1025 }, []string{"batch: 1025 is outside 1 to 1024"}},
		"bad prefix":     {func(c *Config) { c.Allow = []netip.Prefix{{}} }, []string{"allow[0]: "}},
		"forward name":   {func(c *Config) { c.Forward = []string{"collector.example:2055"} }, nil},
		"forward v6":     {func(c *Config) { c.Forward = []string{"[2001:db8::1]:2055"} }, nil},
		"forward port 0": {func(c *Config) { c.Forward = []string{"192.0.2.1:0"} }, []string{"forward[0]: ", "1 to 65535"}},
		"forward no host": {func(c *Config) { c.Forward = []string{"192.0.2.1:1", ":2055"} },
			[]string{"forward[1]: ", "host is missing"}},
		"everything": {func(c *Config) { c.Listen, c.Sockets, c.Batch = "x", -1, -1 },
			[]string{"udp: ", "sockets: -1", "batch: -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tc.change(&c)
			err := c.Validate()
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestParseListenPicksTheFamily(t *testing.T) {
	for listen, want := range map[string]endpoint{
		":2055":                  {"udp", "", 2055},
		"0.0.0.0:1":              {"udp4", "0.0.0.0", 1},
		"[::]:1":                 {"udp6", "::", 1},
		"[::ffff:192.0.2.1]:200": {"udp4", "192.0.2.1", 200},
	} {
		if got, err := parseListen(listen); got != want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", listen, got, err, want)
		}
	}
}
