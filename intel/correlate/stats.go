package correlate

import "sync/atomic"

// Stats are the counters of a [Correlator] since it was made, and two gauges.
type Stats struct {
	Hits uint64 `json:"hits" name:"hits_correlated_total" help:"Hits handled by the correlator."` // handled
	// HitEvents and UpdateEvents were published.
	HitEvents    uint64 `json:"hit_events" name:"-" show:"always" words:"hit events"`
	UpdateEvents uint64 `json:"update_events" name:"update_events_total" help:"Update events of contacts that changed." show:"always"`
	// Severities are the hit events by severity, low to critical.
	Severities [4]uint64 `json:"severities" name:"hit_events_total" help:"Hit events, by severity." label:"severity" values:"low,medium,high,critical"`
	// Canaries were handled, and CanaryEvents published; they are no hits.
	Canaries     uint64 `json:"canaries" name:"canaries_handled_total" help:"Canaries of this and other hosts handled by the correlator."`
	CanaryEvents uint64 `json:"canary_events" name:"canary_events_total" help:"Canary events."`
	// Duplicates are the hits whose flow another observer had reported before.
	Duplicates uint64 `json:"duplicates" name:"duplicate_hits_total" help:"Hits on a flow that another exporter had already reported."`
	// Suspect are the hits with a flow time more than 24 h from its receipt.
	Suspect uint64 `json:"suspect" name:"suspect_hits_total" help:"Hits with a flow time more than 24 hours from the time of receipt." show:"some" words:"with a flow time more than 24 h from the receipt"`
	// ContactsEnded were idle, ContactsEvicted had to make room at the cap.
	ContactsEnded   uint64 `json:"contacts_ended" name:"contacts_ended_total" help:"Contacts ended after contact.idle."`
	ContactsEvicted uint64 `json:"contacts_evicted" name:"-" show:"always" words:"contacts evicted in all"`
	// CrowdedOut are the hits whose contact found no room, as all that are held are more
	// severe: they are rolled up in one contact of many offenders.
	CrowdedOut uint64 `json:"crowded_out" name:"crowded_out_hits_total" help:"Hits rolled up in one contact of many offenders because all contacts held are more severe." words:"hits rolled up (no room)" loss:"true" judged:"loss"`
	// EvictedBySeverity are the evicted by the highest severity that their events had,
	// low to critical.
	EvictedBySeverity [4]uint64 `json:"evicted_by_severity" name:"contacts_evicted_total" help:"Contacts evicted at contact.max_contacts, by the highest severity of their events." label:"severity" values:"low,medium,high,critical" words:"contacts evicted" loss:"true" judged:"loss"`
	// FoldedContacts were made to stand for many, and FoldedHits are the hits in them.
	// FoldsCut are counts of ports or hosts that ended below 1,000, as folded contacts
	// together remember no more.
	FoldedContacts uint64 `json:"folded_contacts" name:"folded_contacts_total" help:"Contacts that stand for many: the scan of an offender, or an entry in quarantine." show:"some" words:"folded contacts"`
	FoldedHits     uint64 `json:"folded_hits" name:"folded_hits_total" help:"Hits in folded contacts." show:"some" words:"hits in folded contacts"`
	FoldsCut       uint64 `json:"folds_cut" name:"folded_counts_cut_total" help:"Counts of the ports or hosts of a folded contact cut off below 1,000 at the memory limit." show:"some" words:"counts of ports or hosts cut short"`
	// FoldedFlowsForgotten are flows in folded contacts that had to make room for others
	// there, as nearly all of a large scan do: their next duplicate counts again.
	FoldedFlowsForgotten uint64 `json:"folded_flows_forgotten" name:"folded_flows_forgotten_total" help:"Flows in folded contacts forgotten to make room; their next duplicate counts again." show:"some" words:"flows in folded contacts forgotten"`
	// FlowsForgotten had to make room for others: their next duplicate counts again.
	FlowsForgotten uint64 `json:"flows_forgotten" name:"remembered_flows_forgotten_total" help:"Flows forgotten to make room; their next duplicate counts again." words:"remembered flows forgotten" loss:"true" judged:"loss"`
	// ExportersOverCap are the hits from an exporter for which a contact had no
	// room: it is not listed.
	ExportersOverCap uint64 `json:"exporters_over_cap" name:"contact_exporters_dropped_total" help:"Hits whose exporter did not fit in the list of its contact." show:"some" words:"of an exporter not listed in its contact (no room)"`
	// Contacts and Flows are held now.
	Contacts uint64 `json:"contacts" name:"contacts" help:"Contacts held." show:"always"`
	Flows    uint64 `json:"flows" name:"remembered_flows" help:"Flows remembered to detect duplicates."`
}

// stats are the live counters. Only the owner of the correlator writes them.
type stats struct {
	hits, hitEvents, updateEvents atomic.Uint64
	severities                    [4]atomic.Uint64
	canaries, canaryEvents        atomic.Uint64
	duplicates, suspect, overCap  atomic.Uint64
	ended, forgotten              atomic.Uint64
	evicted                       [4]atomic.Uint64
	contacts, flows               atomic.Uint64
	folds, foldedHits             atomic.Uint64
	foldsForgotten, crowdedOut    atomic.Uint64
}

// Stats gives the counters. It may be called from any goroutine.
func (c *Correlator) Stats() Stats {
	s := &c.stats
	out := Stats{
		Hits:           s.hits.Load(),
		HitEvents:      s.hitEvents.Load(),
		UpdateEvents:   s.updateEvents.Load(),
		Canaries:       s.canaries.Load(),
		CanaryEvents:   s.canaryEvents.Load(),
		Duplicates:     s.duplicates.Load(),
		Suspect:        s.suspect.Load(),
		ContactsEnded:  s.ended.Load(),
		CrowdedOut:     s.crowdedOut.Load(),
		FoldedContacts: s.folds.Load(),
		FoldedHits:     s.foldedHits.Load(),
		FoldsCut:       c.folds.Cut(),

		FoldedFlowsForgotten: s.foldsForgotten.Load(),
		FlowsForgotten:       s.forgotten.Load(),
		ExportersOverCap:     s.overCap.Load(),
		Contacts:             s.contacts.Load(),
		Flows:                s.flows.Load(),
	}
	for i := range s.severities {
		out.Severities[i] = s.severities[i].Load()
	}
	for i := range s.evicted {
		out.EvictedBySeverity[i] = s.evicted[i].Load()
		out.ContactsEvicted += out.EvictedBySeverity[i]
	}
	return out
}

func countIf(n *atomic.Uint64, yes bool) {
	if yes {
		n.Add(1)
	}
}
