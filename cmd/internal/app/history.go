package app

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// HistoryDir is the folder of the history in the state directory.
const HistoryDir = "history"

// contactLog is the history of contacts, with what it needs of others.
type contactLog struct {
	*history.History
	limits configs.Health
	root   string // its folder
}

func newContactLog(a *App) *contactLog {
	now := time.Now
	if a.opts.Machine != nil {
		now = a.opts.Machine.Wall
	}
	d := history.Deps{
		Root: filepath.Join(a.cfg.StateDir, HistoryDir), Edge: a.cfg.Profile == "edge", Program: "flowsnitch " + a.opts.Version,
		Home: HomeText(&a.cfg), Now: now, Unsynced: a.watch.Unsynced,
		Sampling: configuredRates(&a.cfg), Exclude: canaryEnds(), Pressure: memoryShort, Note: func(warn bool, text string) {
			if warn {
				a.log.Warn(text)
				return
			}
			a.log.Info(text)
		},
	}
	d.Homes, d.Sites = HistoryHomes(&a.cfg)
	return &contactLog{history.New(a.cfg.History, d), a.cfg.Health, d.Root}
}

// configuredRates are the sampling rates that the operator sets.
func configuredRates(cfg *configs.Config) map[netip.Addr]uint32 {
	rates := make(map[netip.Addr]uint32)
	for _, e := range cfg.Exporters {
		if e.Sampling > 0 {
			rates[e.Address.Unmap()] = e.Sampling
		}
	}
	return rates
}

// canaryEnds keeps the self-test out of the history: it is no contact.
func canaryEnds() []netip.Prefix {
	_, target := event.CanaryEnds()
	return []netip.Prefix{netip.PrefixFrom(target, target.BitLen())}
}

// HistoryHomes gives the home networks and the names of all sites by their numbers, as a
// history needs them.
func HistoryHomes(cfg *configs.Config) (homes []home.Home, names []string) {
	list, everywhere := cfg.Contact.Homes(), home.NewNetworks(cfg.Home)
	for i := range list {
		networks := everywhere
		if i > 0 && len(cfg.Sites[i-1].Home) > 0 {
			networks = home.NewNetworks(cfg.Sites[i-1].Home)
		}
		homes = append(homes, home.New(networks, list[i].Has))
		names = append(names, cfg.Contact.SiteName(uint16(i)))
	}
	return homes, names
}

// HomeText gives the home networks as the files of a history name them.
func HomeText(cfg *configs.Config) string { return strings.Trim(fmt.Sprint(cfg.AllHome()), "[]") }

// Register shows and judges the history.
func (l *contactLog) Register(c *observe.Component) {
	c.Add(observe.Printed("history", l.Stats, printHistory), historyCheck(l.Stats, l.limits.Transit), l.eraseRoute())
}

// Takes all keys of the history but the sizes of tables, which are made once.
func (l *contactLog) Takes(_ *configs.Config, key string) bool {
	return strings.HasPrefix(key, "history.") && !strings.HasPrefix(key, "history.max_contacts")
}

// Reconfigure takes up everything but the sizes of tables.
func (l *contactLog) Reconfigure(cfg *configs.Config) error {
	return l.History.Reconfigure(cfg.History)
}

// memoryShort reports whether the process has come near to its memory limit.
func memoryShort() bool {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return false
	}
	return float64(memoryStatus().InUse) > shortOf*float64(limit)
}

// shortOf is the share of the memory limit from which memory is short.
const shortOf = 0.9

// printHistory prints what is kept. After the stop nothing is in memory.
func printHistory(w io.Writer, s history.Stats, final bool) {
	r, f := &s.Recorded, &s.Files
	if s.Off != "" {
		fmt.Fprintf(w, "history    no contacts are kept: %s\n", s.Off)
	} else if !s.Enabled {
		fmt.Fprintln(w, "history    no contacts are kept (history.enabled)")
	}
	if !s.Enabled {
		return
	}
	fmt.Fprintf(w, "history    %d files, %s of at most %s", f.Files[0]+f.Files[1]+f.Files[2], observe.Size(f.Bytes), observe.Size(s.MaxBytes))
	if !f.Oldest.IsZero() {
		fmt.Fprintf(w, ", since %s", show.Date(f.Oldest))
	}
	if !final {
		fmt.Fprintf(w, "; %d contacts in memory", r.Contacts)
	}
	if !s.Until.IsZero() {
		fmt.Fprintf(w, "; complete until %s", show.Date(s.Until))
	}
	fmt.Fprintf(w, "\n           flows: %d kept%s\n", r.Kept, show.Some(show.Count(r.Folded, "folded"), show.Count(r.Lost, "lost (tables full)"),
		show.Count(r.Internal, "internal"), show.Count(r.Excluded, "excluded"), show.Count(r.NoAddress, "without addresses")))
	if more := show.Some(
		show.Count(s.Unwritten, "flows given up, as their contacts could not be written"), show.Count(uint64(s.Waiting), "tables wait to be written"),
		show.Count(r.Full, "tables written early, as they were full"), show.Count(r.Transit, "flows in transit, with two rows each"),
		show.Count(r.LostRows, "further rows of flows lost, as the tables were full"),
		show.Count(r.Clamped, "with a time more than 24 h from the receipt"), show.Count(r.Crowded, "exporters not named (more than 65,535)"),
		show.Count(uint64(f.Bad), "damaged files"), show.Count(uint64(f.Waiting), "files wait to be merged"), show.Count(f.WriteErrors, "failed writes"),
		show.Count(f.Refused, "writes refused, as the disk is nearly full"), show.Count(f.MergeErrors, "failed merges"),
		show.Count(f.AgedFiles, "files removed for their age"), show.Count(f.PushedFiles, "files removed to make room"), show.Count(f.ErasedRows, "contacts erased"),
	); more != "" {
		fmt.Fprintf(w, "           %s\n", strings.TrimPrefix(more, ", "))
	}
	for _, trouble := range []string{s.Disk, cmp.Or(f.Trouble, s.Trouble)} {
		if trouble != "" {
			fmt.Fprintf(w, "           %s\n", show.Printable(trouble))
		}
	}
}
