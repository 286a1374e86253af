package decode

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// An ExporterStatus is what is known of one exporter, as a status page shows it.
type ExporterStatus struct {
	Address netip.Addr `json:"address" label:"exporter"`
	// Name is that of the configuration, which whoever reads the configuration puts here.
	Name string `json:"name,omitempty" show:"some" words:""`
	// Site is that of the configuration, likewise.
	Site     string    `json:"site,omitempty" show:"some"`
	LastSeen time.Time `json:"last_seen" name:"-"`
	// Unproven reports that records have not come at times at least a minute apart, and
	// that the configuration does not name the exporter: all of it may be a stray datagram.
	Unproven bool `json:"unproven,omitempty" name:"-"`
	// Split means that processes behind this address contradict each other, so
	// that their streams are kept apart by UDP source port.
	Split      bool           `json:"split,omitempty" name:"-" show:"some"`
	EarlyBytes int            `json:"early_bytes,omitempty" name:"-"` // waiting for templates
	Streams    []StreamStatus `json:"streams"`
}

// A StreamStatus is one v5 engine, v9 source id, IPFIX observation domain or
// sFlow sub-agent of an exporter.
type StreamStatus struct {
	Version  string      `json:"version" label:"version"`
	Domain   uint32      `json:"domain" label:"domain"`
	Agent    *netip.Addr `json:"agent,omitempty"`
	Port     uint16      `json:"port,omitempty" name:"-" show:"some"` // of a split exporter
	LastSeen time.Time   `json:"last_seen" name:"-" show:"some" words:"last"`

	Datagrams     uint64 `json:"datagrams" name:"-" show:"always"`
	Bytes         uint64 `json:"bytes" name:"-"`
	Records       uint64 `json:"records" name:"-" show:"always" words:"flow records"`
	OptionRecords uint64 `json:"option_records,omitempty" name:"-"`

	Templates int               `json:"templates,omitempty" name:"-" show:"some"`
	Missing   []MissingTemplate `json:"missing,omitempty"`
	History   []TemplateChange  `json:"history,omitempty"` // oldest first
	Sampling  []SamplingStatus  `json:"sampling,omitempty"`

	sequence.Status
}

// A MissingTemplate is a template that data was sent for, but that never came.
type MissingTemplate struct {
	ID   uint16 `json:"id" label:"template"`
	Sets uint64 `json:"sets" name:"-" show:"always" words:"sets without it"`
}

// A SamplingStatus is a sampling rate: one of Rate packets is seen. Rate is 0
// when what was announced cannot be.
type SamplingStatus struct {
	Rate uint32 `json:"rate" name:"-" show:"always" words:"= sampling rate (1 of N)"`
	// From is where the rate was announced: "header" (v5), "sample" (sFlow), "options"
	// or what options data announced it for: "sampler N", "interface N", "template N". "configuration" stands
	// for the rate that the operator has set, which replaces all others.
	From string `json:"from" show:"some" words:""`
}

// ExportersStats are totals over all exporters. What grows never shrinks: it goes
// on counting those that were forgotten.
type ExportersStats struct {
	Exporters     int    `json:"exporters" name:"exporters" help:"Exporters known." show:"always"`
	Templates     int64  `json:"templates" name:"templates" help:"Templates known." show:"always"`
	TemplateBytes int64  `json:"template_bytes" name:"template_bytes" help:"Bytes of the templates known."`
	StateBytes    int64  `json:"state_bytes" name:"exporter_state_bytes" help:"Bytes of everything kept for exporters."`
	Forgotten     uint64 `json:"forgotten" name:"exporters_forgotten_total" help:"Exporters forgotten after limits.forget." show:"some"`
	// Displaced are those of Forgotten that were not proven and made room for others when
	// a limit was reached.
	Displaced uint64     `json:"displaced" name:"exporters_displaced_total" help:"Unproven exporters forgotten to make room for others." words:"displaced by others" loss:"true" judged:"exporters"`
	Early     EarlyStats `json:"early"`
	Lost      Losses     `json:"lost"`
}

// EarlyStats count what became of data sets that came before their template.
type EarlyStats struct {
	WaitingBytes int64  `json:"waiting_bytes" name:"early_bytes" help:"Bytes of data sets waiting for their template." show:"some" words:"waiting for templates"`
	Kept         uint64 `json:"kept" name:"early_sets_total" help:"Data sets received before their template, by outcome." with:"outcome=kept" show:"some" words:"sets before their template"`                                                // sets
	Replayed     uint64 `json:"replayed" name:"early_sets_total" help:"Data sets received before their template, by outcome." with:"outcome=replayed" show:"some" words:"of them decoded later"`                                             // sets
	Records      uint64 `json:"records" name:"early_records_total" help:"Records in data sets decoded after waiting for their template." show:"some" words:"records in these"`                                                               // in the sets replayed
	Expired      uint64 `json:"expired" name:"early_sets_total" help:"Data sets received before their template, by outcome." with:"outcome=expired" show:"some" words:"expired"`                                                             // sets whose template did not come in time
	Full         uint64 `json:"full" name:"early_sets_total" help:"Data sets received before their template, by outcome." with:"outcome=full" words:"without room to wait" loss:"true" judged:"templates"`                                   // sets that found no room
	Displaced    uint64 `json:"displaced" name:"early_sets_total" help:"Data sets received before their template, by outcome." with:"outcome=displaced" words:"displaced by those of better known exporters" loss:"true" judged:"templates"` // sets that made room for those of better known exporters
}

// Losses are sequence gaps by what the numbers count.
type Losses struct {
	Flows     uint64 `json:"flows" name:"lost_records_total" help:"Flows and records lost according to the sequence numbers of exporters, by unit." with:"unit=flows" settles:"true" words:"flows lost (v5)" loss:"true" judged:"loss"`          // NetFlow v5
	Records   uint64 `json:"records" name:"lost_records_total" help:"Flows and records lost according to the sequence numbers of exporters, by unit." with:"unit=records" settles:"true" words:"records lost (IPFIX)" loss:"true" judged:"loss"` // IPFIX, and v9 exporters that count records
	Datagrams uint64 `json:"datagrams" name:"lost_datagrams_total" help:"Datagrams lost according to the sequence numbers of NetFlow v9 and sFlow." settles:"true" words:"datagrams lost (v9, sFlow)" loss:"true" judged:"loss"`                 // v9, sFlow
	// Unknown are IPFIX records in sets of unknown templates.
	Undecoded uint64 `json:"unknown_template_records" name:"unknown_template_records_total" help:"Records skipped because their template was unknown (from IPFIX sequence numbers)." settles:"true" show:"some" words:"records of unknown templates (IPFIX)"`
	// Estimate is the part of all of these that is uncertain, because it fell into a
	// time when we had crashed.
	Estimate uint64 `json:"estimated" name:"lost_estimated_total" help:"Losses that may stem from flowsnitch being down after a crash." settles:"true" show:"some" words:"of the losses estimated (after a crash)"`
	// Jumps are sequence numbers that no loss explains; what they skip is in none of
	// the others.
	Jumps uint64 `json:"jumps" name:"sequence_jumps_total" help:"Sequence numbers that no loss explains, mostly of forged datagrams." settles:"true" words:"sequence jumps" loss:"true" judged:"loss"`
}

// sum adds other losses.
func (l *Losses) sum(o Losses) {
	l.Flows += o.Flows
	l.Records += o.Records
	l.Datagrams += o.Datagrams
	l.Undecoded += o.Undecoded
	l.Estimate += o.Estimate
	l.Jumps += o.Jumps
}

// add takes the losses of one stream.
func (l *Losses) add(s *stream) {
	q := s.seq.Status(s.key.version)
	l.Undecoded += q.Undecoded
	l.Estimate += q.Estimate
	l.Jumps += q.Jumps
	switch q.Unit {
	case sequence.Flows:
		l.Flows += q.Lost
	case sequence.Records:
		l.Records += q.Lost
	default:
		l.Datagrams += q.Lost
	}
}

// all gives the exporters as they are now, and the losses of those that are
// forgotten. One that is forgotten right after this keeps its losses, so that
// nothing is missed in a sum of both. The exporters' locks are not held.
func (x *Exporters) all() ([]*exporter, Losses) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Collect(maps.Values(x.byAddr)), x.lost
}

// Stats gives the totals. It takes the lock of each exporter for a moment.
func (x *Exporters) Stats() ExportersStats {
	list, lost := x.all()
	for _, e := range list {
		e.mu.Lock()
		lost.sum(e.lost)
		for _, s := range e.streams {
			lost.add(s)
		}
		e.mu.Unlock()
	}
	return ExportersStats{
		Exporters: len(list), Forgotten: x.forgotten.Load(), Displaced: x.gaveWay.Load(),
		Templates: x.templates.Load(), TemplateBytes: x.templateBytes.Load(),
		StateBytes: x.stateBytes.Load(),
		Early:      x.early.stats(), Lost: lost,
	}
}

func (t *earlyTotals) stats() EarlyStats {
	return EarlyStats{
		WaitingBytes: t.bytes.Load(), Kept: t.kept.Load(), Replayed: t.replayed.Load(),
		Records: t.records.Load(), Expired: t.expired.Load(), Full: t.full.Load(), Displaced: t.gaveWay.Load(),
	}
}

// Snapshot gives the state of every exporter, by address.
func (x *Exporters) Snapshot() []ExporterStatus {
	list, _ := x.all()
	out := make([]ExporterStatus, 0, len(list))
	for _, e := range list {
		e.mu.Lock()
		if !e.gone {
			st := e.status()
			st.Unproven = x.standing(e) < proven
			out = append(out, st)
		}
		e.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b ExporterStatus) int { return a.Address.Compare(b.Address) })
	return out
}

// status describes an exporter whose lock is held.
func (e *exporter) status() ExporterStatus {
	st := ExporterStatus{Address: e.addr, LastSeen: e.last, Split: e.split, EarlyBytes: e.earlySize}
	for _, key := range slices.SortedFunc(maps.Keys(e.streams), streamKey.compare) {
		st.Streams = append(st.Streams, e.streams[key].status())
	}
	return st
}

func (k streamKey) compare(o streamKey) int {
	return cmp.Or(cmp.Compare(k.version, o.version), cmp.Compare(k.domain, o.domain),
		k.agent.Compare(o.agent), cmp.Compare(k.port, o.port))
}

func (s *stream) status() StreamStatus {
	st := StreamStatus{
		Version: s.key.version.String(), Domain: s.key.observationDomain(), Port: s.key.port, LastSeen: s.last,
		Datagrams: s.totals.Datagrams, Bytes: s.totals.Bytes,
		Records: s.totals.Records, OptionRecords: s.totals.OptionRecords,
		Templates: len(s.plans), Missing: s.missing(),
		History: slices.Clone(s.history), Sampling: s.sampling(),
		Status: s.seq.Status(s.key.version),
	}
	if a := s.key.agent; a.IsValid() {
		st.Agent = &a
	}
	return st
}

// observationDomain gives the domain as records have it: the key of v5 has the
// engine's type in front of its id.
func (k streamKey) observationDomain() uint32 {
	if k.version == flow.V5 {
		return k.domain & 0xff
	}
	return k.domain
}

func (s *stream) missing() []MissingTemplate {
	var out []MissingTemplate
	for _, id := range slices.Sorted(maps.Keys(s.unknown)) {
		out = append(out, MissingTemplate{ID: id, Sets: s.unknown[id]})
	}
	return out
}

// naturally compares texts that end in a number.
func naturally(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// sampling lists the rates that were announced, by sampler.
func (s *stream) sampling() []SamplingStatus {
	var out []SamplingStatus
	switch {
	case s.rate == 0:
	case s.key.version == flow.V5:
		out = append(out, SamplingStatus{s.rate, "header"})
	default:
		out = append(out, SamplingStatus{s.rate, "sample"})
	}
	n := len(out)
	for key, rate := range s.samplers.All() {
		if key == (sampling.Key{}) {
			out = append(out, SamplingStatus{rate, "options"})
			n++
			continue
		}
		out = append(out, SamplingStatus{rate, key.String()})
	}
	slices.SortFunc(out[n:], func(a, b SamplingStatus) int { return naturally(a.From, b.From) })
	return out
}
