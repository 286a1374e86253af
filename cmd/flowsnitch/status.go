package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newStatus makes the command that asks the running instance.
func newStatus() *cobra.Command {
	var file string
	var asJSON, asMetrics bool
	c := &cobra.Command{
		Use:   "status [-c FILE]",
		Short: "Show what the running instance receives, finds and loses",
		Long: `status reads the state of the running instance over its control socket.
Every kind of loss has a counter; a counter that is not shown is zero. Counters begin
with the start of the instance, where no other date is given. On a terminal long lines
are wrapped, elsewhere each is one line.`,
		Example: `  flowsnitch status
  flowsnitch status --json | jq .listeners
  flowsnitch status --metrics`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && asMetrics {
				return usageError{errors.New("--json and --metrics are two forms of the same: name one")}
			}
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			ask := func(path string) ([]byte, error) { return web.Fetch(c.Context(), cfg.StateDir, http.MethodGet, path) }
			path := "/status"
			if asMetrics {
				path = "/status/metrics"
			}
			answer, err := ask(path)
			if err != nil {
				return notRunning(c.OutOrStdout(), cfg.StateDir, &from, err)
			}
			if asJSON || asMetrics {
				_, err := c.OutOrStdout().Write(answer)
				return err
			}
			var s app.Status
			if err := json.Unmarshal(answer, &s); err != nil {
				return fmt.Errorf("this version cannot read the response of the running instance: %w", err)
			}
			rest, err := ask("/status/text")
			if err != nil {
				return err
			}
			out := wrapped(c.OutOrStdout())
			printStatus(out, s, false)
			_, err = out.Write(rest)
			return err
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	c.Flags().BoolVar(&asMetrics, "metrics", false, "print it as metrics for Prometheus")
	return c
}

// notRunning says what the state directory tells when nobody answers.
func notRunning(w io.Writer, dir string, from *origin, err error) error {
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	if info, e := os.Stat(filepath.Join(dir, "hits.json")); e == nil {
		fmt.Fprintf(w, "last hit log entry %s, %s in %s\n", info.ModTime().Format(time.RFC3339), size(uint64(info.Size())), filepath.Join(dir, "hits.json"))
	}
	return from.absent(err, "-c")
}

// printStatus prints a status for people. At the end of a run it is the summary.
func printStatus(w io.Writer, s app.Status, final bool) {
	if final {
		fmt.Fprintf(w, "\nran %s\n", time.Since(s.Since).Round(time.Second))
	} else {
		fmt.Fprintf(w, "flowsnitch %s, %s, pid %d, up %s, configuration: %s\n",
			s.Version, s.Name, s.PID, time.Since(s.Since).Round(time.Second), s.Config)
		fmt.Fprintf(w, "counters   since %s, where no other date is given\n", day(s.Since))
	}
	if s.Starting {
		fmt.Fprintln(w, "still starting")
		return
	}
	if !final {
		printHealth(w, s.Health)
	}
	fmt.Fprintf(w, "memory     %s, %d goroutines\n", size(s.Memory.InUse), s.Memory.Goroutines)
	for _, l := range s.Stalled {
		fmt.Fprintf(w, "stalled    %s, for %s\n", printable(l.Work), time.Duration(l.Seconds*float64(time.Second)).Round(time.Second))
	}
	printListeners(w, s.Listeners)
	printDecoded(w, &s.Decoded)
	printExporters(w, &s.Exporters, !final)
	fmt.Fprintf(w, "intel      %d indicators, set %s\n", s.Intel.Indicators, s.Intel.Version)
	printQuarantine(w, s.Intel.Quarantined)
	if d := s.DNSBL; d != nil {
		fmt.Fprintf(w, "dnsbl      %d addresses queried, %d listed, %d from the cache, %d failed, %d dropped (queue full), %d queries, %d answers kept, %d evicted (cache full)",
			d.Asked, d.Listed, d.Cached, d.Failed, d.Dropped, d.Queries, d.Kept, d.Evicted)
		fmt.Fprintln(w, some(tally{d.Errors, "without an answer"}))
		for _, z := range d.Zones {
			if z.Error != "" {
				fmt.Fprintf(w, "           zone %s: %s\n", z.Zone, z.Error)
			}
		}
	}
	h := s.Hits.Correlator
	fmt.Fprintf(w, "hits       %d found, %d contacts now, %d hit and %d update events, %d lost (hit queue full), %d contacts evicted",
		s.Hits.Found, h.Contacts, h.HitEvents, h.UpdateEvents, s.Hits.HitQueueFull, h.ContactsEvicted)
	fmt.Fprintln(w, some(tally{h.FlowsForgotten, "remembered flows forgotten to make room"}, tally{h.ExportersOverCap, "of an exporter not listed in its contact (no room)"},
		tally{h.Suspect, "with a flow time more than 24 h from the receipt"}, tally{s.Hits.FeedsOther, "of feeds that are not counted apart (no room)"}))
	if l := s.Hits.HitsLost; s.Hits.HitQueueFull > 0 {
		fmt.Fprintf(w, "           lost hits could have been: %d low, %d medium, %d high, %d critical\n", l[0], l[1], l[2], l[3])
	}
	if e := h.EvictedBySeverity; h.ContactsEvicted > 0 {
		fmt.Fprintf(w, "           contacts evicted: %d low, %d medium, %d high, %d critical\n", e[0], e[1], e[2], e[3])
	}
	if h.CrowdedOut > 0 {
		fmt.Fprintf(w, "           %d hits rolled up, as all contacts that are held are more severe\n", h.CrowdedOut)
	}
	if h.FoldedContacts > 0 {
		fmt.Fprintf(w, "           %d hits folded into %d contacts", h.FoldedHits, h.FoldedContacts)
		if h.FoldsCut > 0 {
			fmt.Fprintf(w, ", %d counts of ports or hosts cut short", h.FoldsCut)
		}
		fmt.Fprintln(w, some(tally{h.FoldedFlowsForgotten, "of their flows forgotten to make room"}))
	}
	printCanary(w, &s.Canary)
	printJournal(w, &s.Journal)
	printClock(w, &s.Clock)
	for _, k := range s.Sinks {
		fmt.Fprintf(w, "sink       %s: ", k.Name)
		if !k.Since.IsZero() {
			fmt.Fprintf(w, "since %s ", day(k.Since))
		}
		fmt.Fprintf(w, "%d sent, %d waiting, %d dropped, %d failed", k.Sent, k.Pending, k.Dropped, k.Failed)
		if k.Filtered+k.Limited > 0 {
			fmt.Fprintf(w, ", %d filtered, %d over the limit", k.Filtered, k.Limited)
		}
		fmt.Fprint(w, some(tally{k.PendingUrgent, "of the waiting urgent"}, tally{k.DroppedUrgent, "of the dropped urgent"}, tally{k.Damaged, "of the dropped unreadable in the journal"}, tally{k.Repeated, "asked for again"}))
		for _, name := range slices.Sorted(maps.Keys(k.Own.Trouble)) {
			fmt.Fprint(w, some(tally{k.Own.Trouble[name], strings.ReplaceAll(name, "_", " ")}))
		}
		if k.MayRepeat {
			fmt.Fprint(w, ", the run before did not end in order: some events may have been sent twice")
		}
		if k.LastError != "" {
			fmt.Fprintf(w, "; %d errors, %d since the last delivery, the last: %s", k.Errors, k.Failures, printable(k.LastError))
		}
		if k.Own.Error != "" && k.Own.Error != k.LastError {
			fmt.Fprintf(w, "; %s", printable(k.Own.Error))
		}
		fmt.Fprintln(w)
	}
	if x := s.Web; x != nil {
		lost := some(tally{x.Unauthorized, "requests without the token"}, tally{x.Busy, "requests too many at once"},
			tally{x.Refused, "connections too many at once"}, tally{x.Errors, "connections that failed"})
		if lost != "" {
			fmt.Fprintf(w, "web        %d requests%s\n", x.Requests, lost)
		}
	}
}

// A tally is a counter with its name.
type tally struct {
	n    uint64
	name string
}

// some prints the counters that are not 0, each after a comma.
func some(list ...tally) string {
	var b strings.Builder
	for _, c := range list {
		if c.n > 0 {
			fmt.Fprintf(&b, ", %d %s", c.n, c.name)
		}
	}
	return b.String()
}

// maxLines bounds what is listed one by one.
const maxLines = 10

// printQuarantine prints entries that matched an absurd share of all flows.
func printQuarantine(w io.Writer, list []quarantine.Quarantined) {
	for i, q := range list {
		if i == maxLines {
			fmt.Fprintf(w, "           and %d more\n", len(list)-i)
			return
		}
		fmt.Fprintf(w, "quarantine %s since %s: %s; rolled up for a day\n", q.Prefix, q.Since.UTC().Format(time.RFC3339), printable(q.Why))
	}
}

// printClock prints what is wrong with the wall clock, if anything ever was.
func printClock(w io.Writer, c *app.ClockStatus) {
	if c.State == "ok" && c.Jumps == 0 {
		return
	}
	fmt.Fprintf(w, "clock      %s", c.State)
	if c.Why != "" {
		fmt.Fprintf(w, ": %s; dates are computed from %s", c.Why, c.Trusted.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, "; it was set %d times\n", c.Jumps)
}

// printHealth prints what is not well.
func printHealth(w io.Writer, list []observe.Finding) {
	for _, f := range list {
		if f.State != observe.OK {
			fmt.Fprintf(w, "%-10s %s: %s\n", f.State, f.Check, printable(f.Text))
		}
	}
}

// printJournal prints the journal, and what is wrong with it.
func printJournal(w io.Writer, j *app.JournalStatus) {
	fmt.Fprintf(w, "journal    %d events, %s, %d dropped because there was no room, %d for their age", j.Appended, size(uint64(j.Bytes)), j.DroppedFull, j.DroppedOld)
	fmt.Fprint(w, some(tally{j.Urgent.DroppedFull + j.Urgent.DroppedOld, "of the dropped urgent"}))
	fmt.Fprint(w, some(tally{j.Refused, "too late at the end"}, tally{j.Shortened, "shortened"}, tally{j.WriteErrors, "writes failed"},
		tally{j.SyncErrors, "calls of fsync failed"}, tally{j.SaveErrors, "times the places of sinks not saved"}, tally{j.ReadErrors, "reads failed"},
		tally{j.Rewritten, "written again after a failed fsync"}, tally{j.Stalls, "stalls of the disk"}))
	if j.ReadTrouble != "" {
		fmt.Fprintf(w, "; the journal cannot be read: %s", printable(j.ReadTrouble))
	}
	if j.LastError != "" && j.LastError != j.Trouble {
		fmt.Fprintf(w, "; the last error %s ago: %s", time.Since(j.LastErrorAt).Round(time.Second), j.LastError)
	}
	if j.Trouble != "" {
		fmt.Fprintf(w, "; the disk does not take events (%s): %d are in memory only", j.Trouble, j.InMemory)
	}
	fmt.Fprintln(w)
	o := &j.Opened
	if o.TornBytes > 0 || o.DamagedBytes > 0 || o.MissingEvents > 0 || o.LostEvents > 0 || len(o.BadCursors)+len(o.LostCursors)+len(o.Unreadable) > 0 {
		fmt.Fprintf(w, "           damaged at the start: %d bytes cut off, %d bytes passed over with %d events, %d events gone from its end\n",
			o.TornBytes, o.DamagedBytes, o.MissingEvents, o.LostEvents)
		for _, name := range o.LostCursors {
			fmt.Fprintf(w, "           the place of a sink was not there (%s)\n", printable(name))
		}
		for _, name := range o.BadCursors {
			fmt.Fprintf(w, "           the place of a sink could not be read (%s): it gets all that is there\n", printable(name))
		}
		for _, name := range o.Unreadable {
			fmt.Fprintf(w, "           not readable for now: %s\n", printable(name))
		}
	}
}

func printListeners(w io.Writer, listeners []app.ListenerStatus) {
	for _, l := range listeners {
		drops := fmt.Sprint(l.KernelDrops)
		if !l.KernelDropsKnow {
			drops = "unknown"
		}
		fmt.Fprintf(w, "listener   udp %s: %d datagrams, %s, kernel drops %s, %d refused, %d cut",
			l.Address, l.Datagrams, size(l.Bytes), drops, l.Refused, l.Truncated)
		fmt.Fprintln(w, some(tally{l.ReadErrors, "reads failed"}, tally{l.Unread, "unread at the end"}))
		printRefused(w, &l)
		for _, f := range l.Forward {
			fmt.Fprintf(w, "forward    %s: %d sent, %d of them with our own address as the source, %d dropped, %d failed", f.Target, f.Sent, f.SourceLost, f.Dropped, f.Failed)
			if f.Looped > 0 {
				fmt.Fprintf(w, ", %d left out that came again (from %s)", f.Looped, f.LoopedFrom)
			}
			if f.Error != "" {
				fmt.Fprintf(w, "; %s", printable(f.Error))
			}
			fmt.Fprintln(w)
		}
	}
}

// printRefused names the senders that are not allowed.
func printRefused(w io.Writer, l *app.ListenerStatus) {
	for i, r := range l.RefusedSenders {
		if i == maxLines {
			fmt.Fprintf(w, "           and %d more senders\n", len(l.RefusedSenders)-i)
			break
		}
		fmt.Fprintf(w, "           refused: %s, %d datagrams (%d at least), the last %s ago: if it is yours, add it to 'allow' of the listener or to 'home'\n",
			r.Address, r.Datagrams, r.Certain, time.Since(r.Last).Round(time.Second))
	}
	if l.RefusedUnnamed > 0 {
		fmt.Fprintf(w, "           refused: %d datagrams of senders that the log does not name\n", l.RefusedUnnamed)
	}
}

func printDecoded(w io.Writer, d *app.DecodeStatus) {
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		if v := d.Versions[name]; v.Datagrams > 0 {
			fmt.Fprintf(w, "decoded    %s: %d datagrams, %d flow records, %d options records\n", name, v.Datagrams, v.Records, v.OptionRecords)
		}
	}
	if d.UnknownSets > 0 {
		fmt.Fprintf(w, "lost       %d data sets (%s) came without a known template\n", d.UnknownSets, size(d.UnknownBytes))
	}
	if d.NoAddress > 0 {
		fmt.Fprintf(w, "no address %d records of layer 2, MPLS or multicast: nothing to match\n", d.NoAddress)
	}
	if d.TunnelsSkipped > 0 {
		fmt.Fprintf(w, "tunnels    %d packets inside tunnels not read, an end of the tunnel is in neither home nor sflow.tunnel_endpoints\n", d.TunnelsSkipped)
	}
	for _, r := range slices.Sorted(maps.Keys(d.Problems)) {
		if d.Problems[r] > 0 {
			fmt.Fprintf(w, "problem    %s: %d\n", r, d.Problems[r])
		}
	}
}

// printExporters prints what the exporters' own sequence numbers tell of losses,
// and each exporter in a live status.
func printExporters(w io.Writer, x *app.ExporterStatus, list bool) {
	own := &x.SelfTest
	fmt.Fprintf(w, "exporters  %d with %d templates", x.Exporters-own.Exporters, x.Templates-int64(own.Templates))
	if own.Exporters+own.Templates > 0 {
		fmt.Fprintf(w, " (and %d with %d of the self-test)", own.Exporters, own.Templates)
	}
	if x.Forgotten > 0 {
		fmt.Fprintf(w, ", %d forgotten", x.Forgotten)
	}
	fmt.Fprintln(w, some(tally{x.GaveWay, "of them to make room for others"}))
	if r := &x.Restored; r.Damaged+r.Expired+r.Refused > 0 || r.Error != "" {
		fmt.Fprintf(w, "           of the file of templates %d lines were damaged, %d too old, %d found no room", r.Damaged, r.Expired, r.Refused)
		if r.Error != "" {
			fmt.Fprintf(w, "; %s", printable(r.Error))
		}
		fmt.Fprintln(w)
	}
	if f := &x.File; f.WriteErrors > 0 {
		fmt.Fprintf(w, "           the file of templates could not be written %d times", f.WriteErrors)
		if f.Error != "" {
			fmt.Fprintf(w, "; %s", printable(f.Error))
		}
		fmt.Fprintln(w)
	}
	l := x.Lost
	if l.Flows+l.Records+l.Datagrams+l.Unsaid > 0 {
		fmt.Fprintf(w, "lost       by sequence numbers: %d flows (v5), %d records (IPFIX), %d datagrams (v9, sFlow), %d records of unknown templates (IPFIX)\n",
			l.Flows, l.Records, l.Datagrams, l.Unsaid)
		if l.Estimate > 0 {
			fmt.Fprintf(w, "           of these %d are an estimate: what came while flowsnitch was down after a crash, and since its last save before\n", l.Estimate)
		}
	}
	if l.Jumps > 0 {
		fmt.Fprintf(w, "jumps      %d sequence numbers that no loss explains, mostly of forged datagrams\n", l.Jumps)
	}
	if e := x.Early; e.Kept+e.Full > 0 {
		fmt.Fprintf(w, "early      %d data sets came before their template: %d read later (%d records), %d given up after their time, %d without room, %s waiting",
			e.Kept+e.Full, e.Replayed, e.Records, e.Expired, e.Full, size(uint64(e.WaitingBytes)))
		fmt.Fprintln(w, some(tally{e.GaveWay, "made room for those of better known exporters"}))
	}
	if !list {
		return
	}
	for i := range x.List {
		printExporter(w, &x.List[i])
	}
	for i := range x.List {
		printOwnStreams(w, &x.List[i])
	}
}

// exporterName gives an exporter as people know it: name and site of the configuration, and
// the address.
func exporterName(e *decode.ExporterStatus) string {
	name := e.Address.String()
	if e.Name != "" {
		name = fmt.Sprintf("%s (%s)", printable(e.Name), e.Address)
	}
	if e.Site != "" {
		name += " at " + printable(e.Site)
	}
	return name
}

// printOwnStreams prints one line for all streams of canaries that come from an address.
func printOwnStreams(w io.Writer, e *decode.ExporterStatus) {
	var sum decode.StreamStatus
	n := 0
	for i := range e.Streams {
		if s := &e.Streams[i]; canary.IsDomain(s.Version, s.Domain) {
			n++
			sum.Datagrams += s.Datagrams
			sum.Records += s.Records
			sum.Lost += s.Lost
			if s.LastSeen.After(sum.LastSeen) {
				sum.LastSeen = s.LastSeen
			}
		}
	}
	if n > 0 {
		fmt.Fprintf(w, "self-test  from %s: %d streams, %d datagrams, %d records, %d lost, last %s ago\n",
			exporterName(e), n, sum.Datagrams, sum.Records, sum.Lost, time.Since(sum.LastSeen).Round(time.Second))
	}
}

// printExporter prints one line for each stream of an exporter that is not of canaries.
func printExporter(w io.Writer, e *decode.ExporterStatus) {
	for i := range e.Streams {
		s := &e.Streams[i]
		if canary.IsDomain(s.Version, s.Domain) {
			continue
		}
		fmt.Fprintf(w, "exporter   %s %s domain %d: %d datagrams, %d records, %d %s lost, %d resets, last %s ago",
			exporterName(e), s.Version, s.Domain, s.Datagrams, s.Records, s.Lost, s.Unit, s.Resets, time.Since(s.LastSeen).Round(time.Second))
		if s.Estimate > 0 {
			fmt.Fprintf(w, ", %d %s of the loss are an estimate (flowsnitch had crashed)", s.Estimate, s.Unit)
		}
		fmt.Fprint(w, some(tally{s.Late, "datagrams late"}, tally{s.Repeated, "datagrams twice"}, tally{s.Jumps, "jumps of the sequence"},
			tally{s.Unsaid, "records of unknown templates"}, tally{s.Dropped, "packets that the agent could not sample"}))
		for _, r := range s.Sampling {
			fmt.Fprintf(w, ", sampling %d (%s)", r.Rate, r.From)
		}
		if len(s.Sampling) == 0 {
			fmt.Fprint(w, ", sampling unknown")
		}
		for _, m := range s.Missing {
			fmt.Fprintf(w, ", template %d missing for %d sets", m.ID, m.Sets)
		}
		if e.Split {
			fmt.Fprintf(w, ", one of several processes behind this address (port %d)", s.Port)
		}
		fmt.Fprintln(w)
	}
}

// day prints a date for people, in local time.
func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// size prints bytes for people.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
