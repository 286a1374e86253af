package correlate

import "sync/atomic"

// Stats are the counters of a [Correlator] since it was made, and two gauges.
type Stats struct {
	Hits uint64 `json:"hits"` // handled
	// HitEvents and UpdateEvents were published.
	HitEvents    uint64 `json:"hit_events"`
	UpdateEvents uint64 `json:"update_events"`
	// Severities are the hit events by severity, low to critical.
	Severities [4]uint64 `json:"severities"`
	// Canaries were handled, and CanaryEvents published; they are no hits.
	Canaries     uint64 `json:"canaries"`
	CanaryEvents uint64 `json:"canary_events"`
	// Duplicates are the hits whose flow another observer had told before.
	Duplicates uint64 `json:"duplicates"`
	// Suspect are the hits with a flow time more than 24 h from its receipt.
	Suspect uint64 `json:"suspect"`
	// ContactsEnded were idle, ContactsEvicted had to make room at the cap.
	ContactsEnded   uint64 `json:"contacts_ended"`
	ContactsEvicted uint64 `json:"contacts_evicted"`
	// CrowdedOut are the hits whose contact found no room, as all that are held are more
	// severe: they are rolled up in one contact of many offenders.
	CrowdedOut uint64 `json:"crowded_out"`
	// EvictedBySeverity are the evicted by the highest severity that their events had,
	// low to critical.
	EvictedBySeverity [4]uint64 `json:"evicted_by_severity"`
	// FoldedContacts were made to stand for many, and FoldedHits are the hits in them.
	// FoldsCut are counts of ports or hosts that ended below 1,000, as folded contacts
	// together remember no more.
	FoldedContacts uint64 `json:"folded_contacts"`
	FoldedHits     uint64 `json:"folded_hits"`
	FoldsCut       uint64 `json:"folds_cut"`
	// FoldedFlowsForgotten are flows in folded contacts that had to make room for others
	// there, as nearly all of a large scan do: their next duplicate counts again.
	FoldedFlowsForgotten uint64 `json:"folded_flows_forgotten"`
	// FlowsForgotten had to make room for others: their next duplicate counts again.
	FlowsForgotten uint64 `json:"flows_forgotten"`
	// ExportersOverCap are the hits from an exporter for which a contact had no
	// room: it is not listed.
	ExportersOverCap uint64 `json:"exporters_over_cap"`
	// Contacts and Flows are held now.
	Contacts uint64 `json:"contacts"`
	Flows    uint64 `json:"flows"`
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
	folds, foldedHits, foldsCut   atomic.Uint64
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
		FoldsCut:       s.foldsCut.Load(),

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
