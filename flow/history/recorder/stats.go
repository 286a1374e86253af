package recorder

import "sync/atomic"

// Stats are the counters of all recorders. Each flow that was decoded while they were on is
// in exactly one of the first six, at the latest after the Flush that follows it.
type Stats struct {
	Kept      uint64 `json:"kept" words:"flows kept" name:"history_flows_total" with:"result=kept" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address." show:"always"`
	Folded    uint64 `json:"folded" name:"history_flows_total" with:"result=folded" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address."`
	Lost      uint64 `json:"lost" name:"history_flows_total" with:"result=lost" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address." loss:"true" check:"history" remedy:"raise history.max_contacts if there is memory, or look for a scan" words:"flows of contacts lost, as the tables were full"`
	Internal  uint64 `json:"internal" name:"history_flows_total" with:"result=internal" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address."`
	Excluded  uint64 `json:"excluded" name:"history_flows_total" with:"result=excluded" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address."`
	NoAddress uint64 `json:"no_address" name:"history_flows_total" with:"result=no_address" help:"Flows by what became of them in the history: kept in the row of their contact, folded into a row of scans, lost because the tables were full, internal, excluded, or without the source or the destination address."`

	// Transit flows are among those above: no end of theirs is ours. Each has two rows.
	Transit uint64 `json:"transit" name:"history_transit_flows_total" help:"Flows without an end in the home networks; each has two rows."`
	// Clamped flows are among those above: a time of theirs was more than 24 h from the receipt.
	Clamped uint64 `json:"clamped" name:"history_clamped_flows_total" help:"Flows whose times were more than 24 hours from their receipt, which was taken instead."`

	// LostRows are none of the flows above: rows beyond the first of flows that have several.
	LostRows uint64 `json:"lost_rows" name:"history_lost_rows_total" help:"Further rows of flows that have several (in transit, redirected, within tunnels) that were lost because the tables were full." loss:"true" check:"history" remedy:"raise history.max_contacts if there is memory, or look for a scan" words:"further rows of flows in transit, redirected or within tunnels lost, as the tables were full"`

	Contacts int `json:"contacts" name:"history_contacts" help:"Contacts in the tables of the workers, not yet on disk."`
	Bytes    int `json:"bytes" name:"history_table_bytes" help:"Memory of the tables."`

	// Handovers by reason.
	Interval uint64 `json:"interval" name:"history_handovers_total" with:"why=interval" help:"Tables handed over to be written: at the end of an interval, because they were full, at the end of the program."`
	Full     uint64 `json:"full" name:"history_handovers_total" with:"why=full" help:"Tables handed over to be written: at the end of an interval, because they were full, at the end of the program."`
	Shutdown uint64 `json:"shutdown" name:"history_handovers_total" with:"why=shutdown" help:"Tables handed over to be written: at the end of an interval, because they were full, at the end of the program."`

	// Crowded counts lookups of exporters without a number of their own, repeatedly for the
	// same one. Only a restart gives numbers back.
	Crowded uint64 `json:"exporters_unnamed" name:"history_exporters_unnamed_total" help:"Lookups of exporters beyond the 65,535 that the history has numbers for; their rows name no exporter."`
}

// shown are the counters of one recorder as others see them, in the order of numbers.
type shown [11]atomic.Uint64

// publish shows the counters.
func (r *Recorder) publish() {
	o, contacts, bytes := &r.outcomes, 0, 0
	if r.table != nil {
		contacts, bytes = r.table.Len(), r.table.Bytes()
	}
	for _, h := range r.tables {
		if h.table != r.table {
			bytes += h.bytes
		}
	}
	for i, n := range [len(r.shown)]uint64{
		r.total.Kept, r.total.Folded, r.total.Lost, o.internal, o.excluded, o.noAddress, o.transit, o.clamped,
		uint64(contacts), uint64(bytes), r.lostRows,
	} {
		if r.shown[i].Load() != n {
			r.shown[i].Store(n)
		}
	}
}

// Stats gives the counters.
func (p *Pool) Stats() (s Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Crowded = p.crowded
	for _, r := range p.recorders {
		n := func(i int) uint64 { return r.shown[i].Load() }
		s.Kept, s.Folded, s.Lost = s.Kept+n(0), s.Folded+n(1), s.Lost+n(2)
		s.Internal, s.Excluded, s.NoAddress = s.Internal+n(3), s.Excluded+n(4), s.NoAddress+n(5)
		s.Transit, s.Clamped = s.Transit+n(6), s.Clamped+n(7)
		s.Contacts, s.Bytes = s.Contacts+int(n(8)), s.Bytes+int(n(9))
		s.LostRows += n(10)
		s.Interval, s.Full, s.Shutdown = s.Interval+r.handovers[WhyInterval].Load(), s.Full+r.handovers[WhyFull].Load(), s.Shutdown+r.handovers[WhyShutdown].Load()
	}
	return s
}
