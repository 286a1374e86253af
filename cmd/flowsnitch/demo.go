package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/spf13/cobra"
)

// newDemo makes the command that shows the main job without a router.
func newDemo() *cobra.Command {
	var length time.Duration
	var to, list string
	c := &cobra.Command{
		Use:   "demo [--duration 1m] [--to HOST:PORT] [--list FILE]",
		Short: "Show a minute of everything on this machine: exporters, a list, hits",
		Long: `demo runs the real collector on a free loopback port, with state in a temporary
folder, and four small exporters (NetFlow v5 and v9, IPFIX, sFlow) with
ordinary traffic and, now and then, contacts with listed addresses. Hits are printed as
they occur. All addresses are from documentation and private space, and
nothing leaves this machine.

With --to the exporters send to a running instance instead, which then has hits within
seconds: it must allow the sender (loopback is allowed by default) and
have the sample list, which --list writes. All traffic that it lists is between private
addresses and documentation space, so no feed makes a hit of it.`,
		Example: `  flowsnitch demo
  flowsnitch demo --list demo.txt    # then, in another terminal: flowsnitch run --intel demo.txt
  flowsnitch demo --to 127.0.0.1:2055 --duration 10s`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if length < time.Second {
				return wrongUse(c, "--duration: %s is too short; allowed are 1s and more", length)
			}
			if list != "" {
				if err := writeDemoList(c.ErrOrStderr(), list); err != nil || to == "" {
					return err
				}
			}
			if c.Flags().Changed("to") {
				if err := checkTarget(c, to); err != nil {
					return err
				}
				return demoTo(c, to, length)
			}
			return demo(c, length)
		},
	}
	c.Flags().StringVar(&to, "to", "", "`host:port` of a running instance to send to")
	c.Flags().StringVar(&list, "list", "", "write the sample list to this `file`, and without --to do no more")
	c.Flags().DurationVar(&length, "duration", time.Minute, "`time` that the demonstration runs, such as 30s")
	return c
}

// The lists of the demonstration: documentation space, which no real list has.
var demoLists = []struct {
	feed     spec.Feed
	prefixes string
}{
	{spec.Feed{Name: "demo-c2", Score: 95, Category: "c2"}, "203.0.113.9 # beacon of a trojan\n203.0.113.64/28\n2001:db8:bad::/48\n"},
	{spec.Feed{Name: "demo-otx", Score: 75, Category: "malware"}, "203.0.113.0/24\n"},
	{spec.Feed{Name: "demo-scanners", Score: 60, Category: "scan"}, "198.51.100.0/25\n"},
}

// demo runs the collector and the exporters until the time is up.
func demo(c *cobra.Command, length time.Duration) error {
	dir, err := os.MkdirTemp("", "flowsnitch-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg, err := demoConfig(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), length)
	defer cancel()
	opts := app.Options{Out: c.OutOrStdout(), Colour: showsColours(c.OutOrStdout()), Version: version()}
	a := app.New(cfg, opts, newLogger(c.ErrOrStderr()))
	if err := a.Start(); err != nil {
		return err
	}
	at := a.Status().Listeners[0].Address
	fmt.Fprintf(c.ErrOrStderr(), "flowsnitch demo: %s of NetFlow v5, v9, IPFIX and sFlow to udp %s, %d listed prefixes; Ctrl-C ends it\n\n",
		length, at, a.Status().Intel.Indicators)
	_, err = play(ctx, at, true)
	if e := a.Stop(); err == nil {
		err = e
	}
	_, _ = wrapped(c.ErrOrStderr()).Write(lastText(a))
	demoIncidents(c, &cfg)
	demoHunt(c, dir)
	fmt.Fprintln(c.ErrOrStderr(), "\nnow with your own router: flowsnitch run --intel FILE, and point its flow export to UDP port 2055 of this machine")
	return err
}

// demoIncidents shows which of our hosts are in trouble, as 'flowsnitch incidents' does.
func demoIncidents(c *cobra.Command, cfg *configs.Config) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // that of the command may have ended
	defer cancel()
	fmt.Fprintf(c.ErrOrStderr(), "\nwhich of your hosts is in trouble, the worst first:\n$ flowsnitch incidents --by host\n")
	d, err := openDesk(ctx, cfg, true)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "incidents: %v\n", err)
		return
	}
	defer d.close(ctx)
	page, err := d.Hosts(ctx, incident.Query{Descending: true})
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "incidents: %v\n", err)
		return
	}
	printTable(c.OutOrStdout(), hostTable(page.Rows, time.Now()))
}

// demoHunt shows who of us talked to the trojan's server, as 'flowsnitch hunt' does.
func demoHunt(c *cobra.Command, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // that of the command may have ended
	defer cancel()
	server := netip.MustParseAddr("203.0.113.9")
	q := &question.Question{Ranges: span.OfAll([]netip.Prefix{netip.PrefixFrom(server, server.BitLen())})}
	fmt.Fprintf(c.ErrOrStderr(), "\nevery contact is kept, listed or not; so later questions have an answer, too:\n$ flowsnitch hunt %s\n", server)
	p := newHuntPrinter(c.OutOrStdout(), c.ErrOrStderr(), new(huntOptions))
	in, err := app.OpenHistory(dir, "")
	if err == nil {
		_, err = hunt.Search(ctx, in, q, p.rows, func(int, int, int64) {})
	}
	if err = errors.Join(err, p.flush()); err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "hunt: %v\n", err)
	}
}

// writeDemoList writes the sample list for an instance of the user's own.
func writeDemoList(w io.Writer, path string) error {
	var b strings.Builder
	b.WriteString("# the sample list of flowsnitch demo: documentation space, which no real host has\n")
	for _, l := range demoLists {
		b.WriteString(l.prefixes)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // never over a list of the user's
	if err == nil {
		_, err = f.WriteString(b.String())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, causeOf(err))
	}
	fmt.Fprintf(w, "%s is the sample list; now 'flowsnitch run --intel %s', and in another terminal 'flowsnitch demo --to 127.0.0.1:2055'\n", path, path)
	return nil
}

// checkTarget makes sure that a target is host:port.
func checkTarget(c *cobra.Command, to string) error {
	if host, port, err := net.SplitHostPort(to); err != nil || host == "" || port == "" || port == "0" {
		return wrongUse(c, "--to: %q is not host:port, such as 127.0.0.1:2055", to)
	}
	return nil
}

// demoTo sends the traffic of the exporters to a running instance.
func demoTo(c *cobra.Command, to string, length time.Duration) error {
	ctx, cancel := context.WithTimeout(c.Context(), length)
	defer cancel()
	w := c.ErrOrStderr()
	fmt.Fprintf(w, "flowsnitch demo: %s of NetFlow v5, v9, IPFIX and sFlow to udp %s; Ctrl-C ends it\n", length, to)
	fmt.Fprintln(w, "with this list ('flowsnitch demo --list FILE' writes it) the instance there finds hits within seconds:")
	for _, l := range demoLists {
		for line := range strings.Lines(l.prefixes) {
			fmt.Fprint(w, "  "+line)
		}
	}
	fmt.Fprintln(w, "first 10.0.0.5 -> 203.0.113.9 (it answers: compromised), then scans by 198.51.100.23 and 198.51.100.77")
	sent, err := play(ctx, to, false)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on udp %s; start 'flowsnitch run --intel FILE' first, or name its address and port", to)
	case err != nil:
		return fmt.Errorf("%s: %w", to, err)
	}
	fmt.Fprintf(w, "%d flows sent to %s; if 'flowsnitch status' there has no hits, look at 'refused' and at 'flowsnitch lookup 203.0.113.9'\n", sent, to)
	return nil
}

// demoConfig writes the sample lists and gives a configuration that uses them.
func demoConfig(dir string) (configs.Config, error) {
	cfg := configs.Default()
	cfg.Name, cfg.StateDir = "demo", dir
	listen := udp.DefaultConfig()
	listen.Listen = "127.0.0.1:0"
	cfg.Listen = []udp.Config{listen}
	cfg.Home = append(intel.DefaultHome(), netip.MustParsePrefix("2001:db8:cafe::/48"))
	cfg.Sinks = []configs.Sink{{Console: &configs.Console{Colour: "auto"}}}
	cfg.Canary.Every = 0
	cfg.Web.Listen = ""                                              // no port to fight for
	notice := filepath.Join(dir, app.HistoryDir, history.NoticeName) // given: the folder is removed at the end
	if err := os.MkdirAll(filepath.Dir(notice), 0o750); err != nil {
		return cfg, err
	}
	if err := os.WriteFile(notice, nil, 0o640); err != nil {
		return cfg, err
	}
	cfg.Journal.Dir, cfg.Journal.Durability = "", journal.InMemory
	cfg.Intel.Feeds = nil
	for _, l := range demoLists {
		l.feed.File, l.feed.Operator = filepath.Join(dir, l.feed.Name+".txt"), true
		if err := os.WriteFile(l.feed.File, []byte(l.prefixes), 0o600); err != nil {
			return cfg, err
		}
		cfg.Intel.Feeds = append(cfg.Intel.Feeds, l.feed)
	}
	cfg.Fill()
	return cfg, cfg.Validate()
}

// A demoExporter is one synthetic router.
type demoExporter struct {
	enc  *synth.Encoder
	conn net.Conn
	buf  []byte
}

// play sends traffic of four exporters until ctx ends, and counts the flows. Noise are
// contacts with addresses from all over the world.
func play(ctx context.Context, to string, withNoise bool) (sent int, err error) {
	var exporters []*demoExporter
	for i, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		enc, err := synth.NewEncoder(synth.Config{Version: v, Domain: uint32(i), Boot: time.Now().Add(-time.Hour)})
		if err != nil {
			return 0, err
		}
		conn, err := net.Dial("udp", to)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		exporters = append(exporters, &demoExporter{enc: enc, conn: conn})
	}
	noise, err := noise.NewSource(noise.Config{Seed: 1, Home: intel.DefaultHome()[:1]})
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		for i, e := range exporters {
			flows := demoFlows(turn, i)
			if withNoise {
				flows = append(flows, strangers(noise)...)
			}
			if err := e.send(flows); err != nil {
				return sent, err
			}
			sent += len(flows)
		}
		select {
		case <-ctx.Done():
			return sent, nil
		case <-tick.C:
		}
	}
}

// send exports flows, with the templates in front now and then.
func (e *demoExporter) send(flows []synth.Flow) error {
	now := time.Now()
	if e.enc.Sequence()%40 == 0 || e.buf == nil {
		if e.buf = e.enc.Templates(e.buf[:0], now); len(e.buf) > 0 {
			if _, err := e.conn.Write(e.buf); err != nil {
				return err
			}
		}
	}
	for len(flows) > 0 {
		b, n, err := e.enc.Encode(e.buf[:0], flows, now)
		if err != nil {
			return err
		}
		if _, err := e.conn.Write(b); err != nil {
			return err
		}
		e.buf, flows = b, flows[n:]
	}
	return nil
}

// strangers gives contacts with addresses from all over the world.
func strangers(noise *noise.Source) (flows []synth.Flow) {
	now := time.Now()
	for range 5 {
		f, _ := noise.Next(now)
		flows = append(flows, f)
	}
	return flows
}

// demoFlows gives what one exporter exports in one turn: traffic at home, and a contact of
// the story when its turn has come.
func demoFlows(turn, exporter int) []synth.Flow {
	now := time.Now()
	f := demoFlow("10.0.0.5", uint16(40000+turn%20000), "10.0.0.1", 53, 17, 76, 1, 0)
	f.Start, f.End = now.Add(-time.Second), now
	flows := []synth.Flow{f}
	for _, s := range demoStory {
		if s.exporter == exporter && turn >= s.turn && (turn-s.turn)%s.every == 0 {
			f := s.flow
			f.Start, f.End = now.Add(-time.Second), now
			flows = append(flows, f)
		}
	}
	return flows
}

// Exporters of the story, by place in play.
const (
	viaV5 = iota
	viaV9
	viaIPFIX
	viaSFlow
)

// once is an interval that does not come again.
const once = 1 << 30

// demoStory are the contacts with listed addresses. A turn is a quarter of a
// second.
var demoStory = []struct {
	turn, every, exporter int
	flow                  synth.Flow
}{
	{2, 60, viaV9, demoFlow("10.0.0.5", 51515, "203.0.113.9", 443, 6, 1234, 5, 0x1b)},
	{4, 60, viaV9, demoFlow("203.0.113.9", 443, "10.0.0.5", 51515, 6, 5210, 4, 0x1b)},
	{6, 12, viaV5, demoFlow("198.51.100.23", 40123, "192.168.1.10", 22, 6, 60, 1, 0x02)},
	{9, 8, viaV5, demoFlow("198.51.100.77", 53211, "192.168.1.11", 3389, 6, 120, 2, 0x02)},
	{12, 40, viaIPFIX, withReverse(demoFlow("2001:db8:cafe::25", 49152, "2001:db8:bad::66", 8443, 6, 900, 6, 0x1b), 4200, 7)},
	{16, 32, viaIPFIX, withNAT(demoFlow("10.0.0.23", 50123, "203.0.113.70", 80, 6, 700, 6, 0x1b), "192.0.2.40")},
	{20, 24, viaSFlow, demoFlow("10.0.0.99", 123, "203.0.113.201", 123, 17, 90, 1, 0)},
	{28, once, viaV9, demoFlow("10.0.0.5", 0, "203.0.113.9", 0x0800, 1, 84, 1, 0)},
}

func demoFlow(src string, srcPort uint16, dst string, dstPort uint16, proto uint8, bytes, packets uint64, flags uint16) synth.Flow {
	return synth.Flow{
		Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: srcPort, DstPort: dstPort,
		Protocol: proto, Bytes: bytes, Packets: packets, TCPFlags: flags, InIf: 1, OutIf: 2,
	}
}

func withReverse(f synth.Flow, bytes, packets uint64) synth.Flow {
	f.RevBytes, f.RevPackets, f.RevTCPFlags = bytes, packets, f.TCPFlags
	return f
}

func withNAT(f synth.Flow, public string) synth.Flow {
	f.PostNATSrc, f.PostNATDst = netip.MustParseAddr(public), f.Dst
	f.PostNATSrcPort, f.PostNATDstPort = f.SrcPort, f.DstPort
	return f
}
