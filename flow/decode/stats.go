package decode

import (
	"slices"
	"sync/atomic"
)

// A Reason names why something could not be decoded or kept. It is the label of
// its counter wherever counters are shown.
type Reason string

// The reasons. Each has a counter in [Stats].
const (
	reasonNotExport       Reason = "not_export"           // no known protocol in the first bytes
	reasonShort           Reason = "short_header"         // shorter than the header of its protocol
	reasonV5Count         Reason = "v5_count"             // the count does not fit the datagram, or is less than what is there
	reasonIPFIXLength     Reason = "ipfix_length"         // message length and datagram differ
	reasonSetLength       Reason = "set_length"           // a set shorter than its header
	reasonSetCut          Reason = "set_cut"              // a set longer than what is left
	reasonSetReserved     Reason = "set_reserved"         // set ids that have no meaning
	reasonRecordOverrun   Reason = "record_overrun"       // a variable length past its set
	reasonMismatch        Reason = "template_mismatch"    // data that fits no record of its template: the template has changed, most likely
	reasonTemplateCut     Reason = "template_cut"         // a template record longer than its set
	reasonTemplateID      Reason = "template_id"          // ids below 256
	reasonTemplateEmpty   Reason = "template_no_length"   // records would have no byte
	reasonTemplateTooLong Reason = "template_too_long"    // records longer than a datagram
	reasonTemplateFields  Reason = "template_fields"      // more than 1,000 fields
	reasonTemplateScope   Reason = "template_scope"       // more scope fields than fields
	reasonWithdrawal      Reason = "template_withdrawal"  // not for UDP: ignored (RFC 7011 8.4)
	reasonSampling        Reason = "sampling_absurd"      // a rate of 0 or over 10,000,000: announced, in a sample, or in a record that was built
	reasonSamplingDoubt   Reason = "sampling_unconfirmed" // a rate more than ten times as high or low, announced only once yet
	reasonTunnelDepth     Reason = "tunnel_depth"         // a tunnel inside four others, in a sample: not read
	reasonSFlow           Reason = "sflow_sample"         // a sample or record that lies about its length, or more than the counts announce
	reasonCapExporters    Reason = "cap_exporters"        // a newcomer over limits.exporters
	reasonCapTemplates    Reason = "cap_templates"        // over limits.templates or templates_per_exporter
	reasonCapStreams      Reason = "cap_streams"          // over limits.domains_per_exporter
	reasonCapSamplers     Reason = "cap_samplers"         // over limits.samplers
)

// reasons are all of them, in the order in which they are shown.
var reasons = []Reason{
	reasonNotExport, reasonShort, reasonV5Count, reasonIPFIXLength, reasonSetLength, reasonSetCut,
	reasonSetReserved, reasonRecordOverrun, reasonMismatch, reasonTemplateCut, reasonTemplateID, reasonTemplateEmpty,
	reasonTemplateTooLong, reasonTemplateFields, reasonTemplateScope, reasonWithdrawal,
	reasonSampling, reasonSamplingDoubt, reasonSFlow, reasonTunnelDepth, reasonCapExporters, reasonCapTemplates, reasonCapStreams, reasonCapSamplers,
}

// Reasons gives all reasons that [Stats].Problems may count, in the order in which they
// are shown.
func Reasons() []Reason { return slices.Clone(reasons) }

// versions index the counters that are kept by protocol.
const numVersions = 4

// counters are what one decoder counts. Only its worker adds to them, once per
// datagram or set; anybody may read.
type counters struct {
	datagrams, bytes, records, options [numVersions]atomic.Uint64
	noAddress, tunnelsSkipped          atomic.Uint64
	templates, optionsTemplates        atomic.Uint64
	unknownSets, unknownBytes          atomic.Uint64
	reasons                            [32]atomic.Uint64
}

func (c *counters) count(r Reason) {
	for i := range reasons {
		if reasons[i] == r {
			c.reasons[i].Add(1)
			return
		}
	}
}

// VersionStats are the totals of one protocol.
type VersionStats struct {
	Datagrams, Bytes uint64
	// Records are flow records; OptionRecords are records of options data.
	Records, OptionRecords uint64
}

// Stats are the totals of a decoder since it was made.
type Stats struct {
	V5, V9, IPFIX, SFlow VersionStats
	// NoAddress are flow records without any address: multicast, MPLS, layer 2.
	NoAddress uint64
	// TunnelsSkipped are packets within a tunnel, in samples, that were not read
	// because an end of the tunnel is not ours.
	TunnelsSkipped uint64
	// Templates and OptionsTemplates that were accepted, each time they came.
	Templates, OptionsTemplates uint64
	// UnknownSets are data sets whose template was not known, UnknownBytes their
	// bytes. What was kept for later and what came of it is counted in
	// [ExportersStats].
	UnknownSets, UnknownBytes uint64
	// Problems count datagrams, sets, templates or records by what was wrong.
	Problems map[Reason]uint64
}

// Records is the sum of flow records over all protocols.
func (s *Stats) Records() uint64 {
	return s.V5.Records + s.V9.Records + s.IPFIX.Records + s.SFlow.Records
}

// Datagrams is the sum of datagrams over all protocols.
func (s *Stats) Datagrams() uint64 {
	return s.V5.Datagrams + s.V9.Datagrams + s.IPFIX.Datagrams + s.SFlow.Datagrams
}

// Add adds the totals of another decoder.
func (s *Stats) Add(o Stats) {
	for _, p := range []struct{ to, from *VersionStats }{{&s.V5, &o.V5}, {&s.V9, &o.V9}, {&s.IPFIX, &o.IPFIX}, {&s.SFlow, &o.SFlow}} {
		p.to.Datagrams += p.from.Datagrams
		p.to.Bytes += p.from.Bytes
		p.to.Records += p.from.Records
		p.to.OptionRecords += p.from.OptionRecords
	}
	s.NoAddress += o.NoAddress
	s.TunnelsSkipped += o.TunnelsSkipped
	s.Templates += o.Templates
	s.OptionsTemplates += o.OptionsTemplates
	s.UnknownSets += o.UnknownSets
	s.UnknownBytes += o.UnknownBytes
	for r, n := range o.Problems {
		if s.Problems == nil {
			s.Problems = make(map[Reason]uint64)
		}
		s.Problems[r] += n
	}
}

func (c *counters) stats() Stats {
	version := func(i int) VersionStats {
		return VersionStats{
			Datagrams: c.datagrams[i].Load(), Bytes: c.bytes[i].Load(),
			Records: c.records[i].Load(), OptionRecords: c.options[i].Load(),
		}
	}
	s := Stats{
		V5: version(0), V9: version(1), IPFIX: version(2), SFlow: version(3),
		NoAddress: c.noAddress.Load(), TunnelsSkipped: c.tunnelsSkipped.Load(),
		Templates: c.templates.Load(), OptionsTemplates: c.optionsTemplates.Load(),
		UnknownSets: c.unknownSets.Load(), UnknownBytes: c.unknownBytes.Load(),
		Problems: make(map[Reason]uint64),
	}
	for i, r := range reasons {
		if n := c.reasons[i].Load(); n > 0 {
			s.Problems[r] = n
		}
	}
	return s
}
