package app

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// maxListed bounds the exporters that a status lists one by one; anyNumber does not.
const (
	maxListed = 100
	anyNumber = math.MaxInt
)

// A VersionStatus is one export protocol.
type VersionStatus struct {
	Datagrams     uint64 `json:"datagrams" name:"datagrams_total" help:"Export datagrams decoded." show:"some"`
	Bytes         uint64 `json:"bytes" name:"datagram_bytes_total" help:"Bytes of export datagrams decoded."`
	Records       uint64 `json:"records" name:"records_total" help:"Flow records decoded." show:"some" words:"flow records"`
	OptionRecords uint64 `json:"option_records" name:"option_records_total" help:"Options data records decoded." show:"some" words:"options records"`
}

// A DecodeStatus is what all decoders did.
type DecodeStatus struct {
	Versions         map[string]VersionStatus `json:"versions" label:"version"`
	NoAddress        uint64                   `json:"no_address" name:"records_without_address_total" help:"Flow records without any address (layer 2, MPLS, multicast)." show:"some" words:"records without an address"`
	TunnelsSkipped   uint64                   `json:"tunnels_skipped" name:"tunnels_skipped_total" help:"Packets inside tunnels, in samples, not decoded because an end of the tunnel is not ours." show:"some" words:"packets inside tunnels skipped (see sflow.tunnel_endpoints)"` // inner packets between ends that are not ours
	Templates        uint64                   `json:"templates" name:"template_records_total" help:"Templates accepted, repetitions included." with:"kind=data"`
	OptionsTemplates uint64                   `json:"options_templates" name:"template_records_total" help:"Templates accepted, repetitions included." with:"kind=options"`
	UnknownSets      uint64                   `json:"unknown_template_sets" name:"missing_template_total" help:"Data sets received without their template." words:"data sets without a known template" loss:"true" judged:"templates"`
	UnknownBytes     uint64                   `json:"unknown_template_bytes" name:"missing_template_bytes_total" help:"Bytes of data sets received without their template." show:"some" words:"of them"`
	Problems         map[decode.Reason]uint64 `json:"problems" name:"decode_errors_total" help:"Datagrams, sets, records and templates that could not be decoded or kept, by reason." label:"reason" words:"problems" loss:"true" judged:"loss"`
}

// An ExporterStatus is what is known of the exporters: totals, and those that
// sent most.
type ExporterStatus struct {
	decode.ExportersStats
	// Restored is what was taken up from the file of templates at the start.
	Restored RestoredStatus          `json:"restored"`
	File     TemplateFileStatus      `json:"file"`
	List     []decode.ExporterStatus `json:"list" name:"-"`
	// SelfTest is the part of Exporters and Templates that only self-tests and canaries
	// take.
	SelfTest SelfTestShare `json:"self_test"`
}

// A SelfTestShare is what streams of canaries have of the exporters and templates.
type SelfTestShare struct {
	Exporters int `json:"exporters" name:"-" show:"some" words:"exporters of the self-test"` // those that send nothing else
	Templates int `json:"templates" name:"-" show:"some" words:"templates of the self-test"`
}

// A TemplateFileStatus is the writing of the file of templates, samplers and sequence
// numbers.
type TemplateFileStatus struct {
	Writes      uint64 `json:"writes" name:"template_file_writes_total" help:"Writes of the template file."`
	WriteErrors uint64 `json:"write_errors" name:"template_file_write_errors_total" help:"Failed writes of the template file." words:"failed writes of the template file" loss:"true" judged:"templates"`
	Error       string `json:"error,omitempty" show:"some" words:"template file"` // of the last try, if that failed
}

// A RestoredStatus is what the file of templates had at the start. Damaged, expired and
// refused lines were left out; what was refused found no room within limits.
type RestoredStatus struct {
	Clean     bool   `json:"clean" name:"-"` // the run before had stopped in order
	Exporters int    `json:"exporters" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=exporters"`
	Templates int    `json:"templates" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=templates"`
	Samplers  int    `json:"samplers" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=samplers"`
	Damaged   int    `json:"damaged" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=damaged" show:"some" words:"lines of the template file damaged"`
	Expired   int    `json:"expired" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=expired" show:"some" words:"lines of the template file too old"`
	Refused   int    `json:"refused" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=refused" show:"some" words:"lines of the template file without room"`
	Error     string `json:"error,omitempty" show:"some" words:"template file at the start"` // why the rest could not be read
}

func exporterStatus(x *decode.Exporters, named []sites.Exporter, most int) ExporterStatus {
	list := x.Snapshot()
	share := selfTestShare(list)
	sent := func(e *decode.ExporterStatus) (n uint64) {
		for i := range e.Streams {
			n += e.Streams[i].Datagrams
		}
		return n
	}
	slices.SortStableFunc(list, func(a, b decode.ExporterStatus) int { return cmp.Compare(sent(&b), sent(&a)) })
	list = list[:min(len(list), most)]
	nameExporters(list, named)
	for i := range list {
		list[i].LastSeen = byWall(list[i].LastSeen)
		for j := range list[i].Streams {
			list[i].Streams[j].LastSeen = byWall(list[i].Streams[j].LastSeen)
		}
	}
	return ExporterStatus{ExportersStats: x.Stats(), List: list, SelfTest: share}
}

func decodeStatus(d decode.Stats) DecodeStatus {
	s := DecodeStatus{
		Versions: make(map[string]VersionStatus), NoAddress: d.NoAddress, TunnelsSkipped: d.TunnelsSkipped,
		Templates: d.Templates, OptionsTemplates: d.OptionsTemplates,
		UnknownSets: d.UnknownSets, UnknownBytes: d.UnknownBytes, Problems: maps.Clone(d.Problems),
	}
	if s.Problems == nil {
		s.Problems = make(map[decode.Reason]uint64)
	}
	for _, r := range decode.Reasons() {
		s.Problems[r] += 0 // so that the first of a kind is a rise
	}
	for name, v := range map[string]decode.VersionStats{"v5": d.V5, "v9": d.V9, "ipfix": d.IPFIX, "sflow": d.SFlow} {
		s.Versions[name] = VersionStatus(v)
	}
	return s
}

// An ExporterTotals is the sum of the streams of an exporter, of the 100 that sent most,
// without those that send nothing but canaries.
type ExporterTotals struct {
	Exporter  string    `json:"exporter" label:"exporter"`
	Last      time.Time `json:"last" name:"exporter_silence_seconds" help:"Time since the last datagram other than canaries, of the 100 exporters that sent most."`
	Datagrams uint64    `json:"datagrams" name:"exporter_datagrams_total" help:"Datagrams of an exporter."`
	Records   uint64    `json:"records" name:"exporter_records_total" help:"Flow records of an exporter."`
	Lost      uint64    `json:"lost" name:"exporter_lost_total" help:"Losses of an exporter according to its sequence numbers, in the unit that they count." settles:"true"`
	Late      uint64    `json:"late" name:"exporter_late_total" help:"Datagrams of an exporter that arrived late, so that they no longer count as lost."`
	Repeated  uint64    `json:"repeated" name:"exporter_repeated_total" help:"Datagrams of an exporter that arrived twice."`
	Resets    uint64    `json:"resets" name:"exporter_resets_total" help:"Restarts of an exporter according to its sequence numbers."`
	Jumps     uint64    `json:"jumps" name:"exporter_jumps_total" help:"Sequence numbers of an exporter that no loss explains."`
	Dropped   uint64    `json:"sflow_dropped" name:"exporter_sflow_dropped_total" help:"Packets that an sFlow agent could not sample, by its own count."`
	Missing   int       `json:"missing_templates" name:"exporter_missing_templates" help:"Templates for which an exporter sends data and that it has not sent."`
}

func exporterTotals(list []decode.ExporterStatus) (totals []ExporterTotals) {
	for i := range list {
		last, ok := lastExport(&list[i])
		if !ok {
			continue
		}
		t := ExporterTotals{Exporter: list[i].Address.String(), Last: last}
		for j := range list[i].Streams {
			s := &list[i].Streams[j]
			t.Datagrams += s.Datagrams
			t.Records += s.Records
			t.Lost += s.Lost
			t.Late += s.Late
			t.Repeated += s.Repeated
			t.Resets += s.Resets
			t.Jumps += s.Jumps
			t.Dropped += s.Dropped
			t.Missing += len(s.Missing)
		}
		totals = append(totals, t)
	}
	return totals
}

// printDecoded prints what came by protocol, and what could not be decoded.
func printDecoded(w io.Writer, d DecodeStatus, _ bool) {
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		if v := d.Versions[name]; v.Datagrams > 0 {
			fmt.Fprintf(w, "decoded    %s: %d datagrams, %d flow records, %d options records\n", name, v.Datagrams, v.Records, v.OptionRecords)
		}
	}
	if d.UnknownSets > 0 {
		fmt.Fprintf(w, "lost       %d data sets (%s) came without a known template\n", d.UnknownSets, observe.Size(d.UnknownBytes))
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

// printExporters prints what the exporters' own sequence numbers show of losses,
// and each exporter while the instance runs.
func printExporters(w io.Writer, x ExporterStatus, final bool) {
	own := &x.SelfTest
	fmt.Fprintf(w, "exporters  %d with %d templates", x.Exporters-own.Exporters, x.Templates-int64(own.Templates))
	if own.Exporters+own.Templates > 0 {
		fmt.Fprintf(w, " (and %d with %d of the self-test)", own.Exporters, own.Templates)
	}
	if x.Forgotten > 0 {
		fmt.Fprintf(w, ", %d forgotten", x.Forgotten)
	}
	fmt.Fprintln(w, show.Some(show.Count(x.Displaced, "of them to make room for others")))
	if r := &x.Restored; r.Damaged+r.Expired+r.Refused > 0 || r.Error != "" {
		fmt.Fprintf(w, "           of the file of templates %d lines were damaged, %d too old, %d found no room", r.Damaged, r.Expired, r.Refused)
		if r.Error != "" {
			fmt.Fprintf(w, "; %s", show.Printable(r.Error))
		}
		fmt.Fprintln(w)
	}
	if f := &x.File; f.WriteErrors > 0 {
		fmt.Fprintf(w, "           the file of templates could not be written %d times", f.WriteErrors)
		if f.Error != "" {
			fmt.Fprintf(w, "; %s", show.Printable(f.Error))
		}
		fmt.Fprintln(w)
	}
	l := x.Lost
	if l.Flows+l.Records+l.Datagrams+l.Undecoded > 0 {
		fmt.Fprintf(w, "lost       by sequence numbers: %d flows (v5), %d records (IPFIX), %d datagrams (v9, sFlow), %d records of unknown templates (IPFIX)\n",
			l.Flows, l.Records, l.Datagrams, l.Undecoded)
		if l.Estimate > 0 {
			fmt.Fprintf(w, "           of these %d are an estimate: what came while flowsnitch was down after a crash, and since its last save before\n", l.Estimate)
		}
	}
	if l.Jumps > 0 {
		fmt.Fprintf(w, "jumps      %d sequence numbers that no loss explains, mostly of forged datagrams\n", l.Jumps)
	}
	if e := x.Early; e.Kept+e.Full > 0 {
		fmt.Fprintf(w, "early      %d data sets came before their template: %d read later (%d records), %d given up after their time, %d without room, %s waiting",
			e.Kept+e.Full, e.Replayed, e.Records, e.Expired, e.Full, observe.Size(uint64(e.WaitingBytes)))
		fmt.Fprintln(w, show.Some(show.Count(e.Displaced, "made room for those of better known exporters")))
	}
	if final {
		return
	}
	for i := range x.List {
		printExporter(w, &x.List[i])
	}
	for i := range x.List {
		printOwnStreams(w, &x.List[i])
	}
}

// ExporterName gives an exporter as people know it: name and site of the configuration, and
// the address.
func ExporterName(e *decode.ExporterStatus) string {
	name := e.Address.String()
	if e.Name != "" {
		name = fmt.Sprintf("%s (%s)", show.Printable(e.Name), e.Address)
	}
	if e.Site != "" {
		name += " at " + show.Printable(e.Site)
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
			ExporterName(e), n, sum.Datagrams, sum.Records, sum.Lost, time.Since(sum.LastSeen).Round(time.Second))
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
			ExporterName(e), s.Version, s.Domain, s.Datagrams, s.Records, s.Lost, s.Unit, s.Resets, time.Since(s.LastSeen).Round(time.Second))
		if s.Estimate > 0 {
			fmt.Fprintf(w, ", %d %s of the loss are an estimate (flowsnitch had crashed)", s.Estimate, s.Unit)
		}
		fmt.Fprint(w, show.Some(show.Count(s.Late, "datagrams late"), show.Count(s.Repeated, "datagrams twice"), show.Count(s.Jumps, "jumps of the sequence"),
			show.Count(s.Undecoded, "records of unknown templates"), show.Count(s.Dropped, "packets that the agent could not sample")))
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
