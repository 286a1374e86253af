package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/prometheus/client_golang/prometheus"
)

func hitMetrics() []metric {
	correlator := func(name, help string, kind prometheus.ValueType, f func(*correlate.Stats) uint64) metric {
		return one(name, help, kind, func(s *Status) uint64 { return f(&s.Hits.Correlator) })
	}
	return []metric{
		{name: "hits_total", help: "Hits by feed and direction; an offender that several feeds list counts for each.", kind: counter,
			labels: []string{"feed", "direction"}, each: feedHits},
		one("hits_other_total", "Hits of feeds beyond the first 1,000 pairs of feed and direction.", counter, func(s *Status) uint64 { return s.Hits.FeedsOther }),
		one("hits_found_total", "Hits that the matchers found.", counter, func(s *Status) uint64 { return s.Hits.Found }),
		{name: "hit_queue_dropped_total", help: "Hits lost because the queue was full, by the severity that they could have reached.", kind: counter,
			labels: []string{"severity"}, each: func(s *Status, put put) {
				for i, n := range s.Hits.HitsLost {
					put(float64(n), event.Severity(i).String())
				}
			}},
		one("hits_offered_total", "Hits and canaries handed to the correlator, those lost by a full queue included.", counter,
			func(s *Status) uint64 { return s.Hits.Offered }),
		one("hit_queue_length", "Hits and canaries that wait for the correlator.", gauge, func(s *Status) int { return s.Hits.Queued }),
		correlator("hits_correlated_total", "Hits that the correlator took in.", counter, func(c *correlate.Stats) uint64 { return c.Hits }),
		{name: "hit_events_total", help: "Events of first hits, by severity.", kind: counter, labels: []string{"severity"}, each: func(s *Status, put put) {
			for i, n := range s.Hits.Correlator.Severities {
				put(float64(n), event.Severity(i).String())
			}
		}},
		correlator("update_events_total", "Events of contacts in which something changed.", counter, func(c *correlate.Stats) uint64 { return c.UpdateEvents }),
		correlator("duplicate_hits_total", "Hits whose flow another observer had told before.", counter, func(c *correlate.Stats) uint64 { return c.Duplicates }),
		correlator("suspect_hits_total", "Hits with a flow time more than 24 hours from the receipt.", counter, func(c *correlate.Stats) uint64 { return c.Suspect }),
		correlator("contacts", "Contacts held.", gauge, func(c *correlate.Stats) uint64 { return c.Contacts }),
		correlator("contacts_ended_total", "Contacts that ended after contact.idle.", counter, func(c *correlate.Stats) uint64 { return c.ContactsEnded }),
		{name: "contacts_evicted_total", help: "Contacts that had to make room, by the highest severity of their events.", kind: counter,
			labels: []string{"severity"}, each: func(s *Status, put put) {
				for i, n := range s.Hits.Correlator.EvictedBySeverity {
					put(float64(n), event.Severity(i).String())
				}
			}},
		correlator("crowded_out_hits_total", "Hits rolled up in one contact of many offenders, as all contacts that are held are more severe.", counter,
			func(c *correlate.Stats) uint64 { return c.CrowdedOut }),
		correlator("folded_contacts_total", "Contacts that stand for many: the scan of an offender, or an entry in quarantine.", counter,
			func(c *correlate.Stats) uint64 { return c.FoldedContacts }),
		correlator("folded_hits_total", "Hits in folded contacts.", counter, func(c *correlate.Stats) uint64 { return c.FoldedHits }),
		correlator("folded_counts_cut_total", "Counts of the ports or hosts of a folded contact that ended below 1,000, as too many are remembered.", counter,
			func(c *correlate.Stats) uint64 { return c.FoldsCut }),
		correlator("folded_flows_forgotten_total", "Flows in folded contacts forgotten to make room for others there; their next duplicate counts again.", counter,
			func(c *correlate.Stats) uint64 { return c.FoldedFlowsForgotten }),
		correlator("contact_exporters_dropped_total", "Hits whose exporter found no room in its contact.", counter,
			func(c *correlate.Stats) uint64 { return c.ExportersOverCap }),
		correlator("remembered_flows", "Flows remembered to tell duplicates.", gauge, func(c *correlate.Stats) uint64 { return c.Flows }),
		correlator("remembered_flows_forgotten_total", "Flows forgotten to make room; their next duplicate counts again.", counter,
			func(c *correlate.Stats) uint64 { return c.FlowsForgotten }),
	}
}

// feedHits has every feed from the start, so that its first hit is a rise.
func feedHits(s *Status, put put) {
	hits := make(map[correlate.FeedHits]uint64)
	for _, f := range s.Intel.Feeds {
		if f.Class != "" {
			continue // a warninglist lists nothing that could be a hit
		}
		for _, d := range []event.Direction{event.Inbound, event.Outbound, event.Internal, event.Transit} {
			hits[correlate.FeedHits{Feed: f.Name, Direction: d}] = 0
		}
	}
	for _, h := range s.Hits.Feeds {
		hits[correlate.FeedHits{Feed: h.Feed, Direction: h.Direction}] = h.Hits
	}
	for key, n := range hits {
		put(float64(n), key.Feed, string(key.Direction))
	}
}

// perFeed makes a metric with a value for each feed and warninglist.
func perFeed(name, help string, kind prometheus.ValueType, f func(*fetch.Status) float64) metric {
	return metric{name: name, help: help, kind: kind, labels: []string{"feed"}, each: func(s *Status, put put) {
		for i := range s.Intel.Feeds {
			put(f(&s.Intel.Feeds[i]), s.Intel.Feeds[i].Name)
		}
	}}
}

func intelMetrics() []metric {
	return []metric{
		one("indicators", "Indicators in the set in force.", gauge, func(s *Status) int { return s.Intel.Indicators }),
		{name: "set_built_timestamp_seconds", help: "When the set in force was built.", kind: gauge, each: func(s *Status, put put) {
			if !s.Intel.Built.IsZero() {
				put(float64(s.Intel.Built.UnixMilli()) / 1000)
			}
		}},
		one("quarantined", "Entries in quarantine.", gauge, func(s *Status) int { return len(s.Intel.Quarantined) }),
		perFeed("feed_entries", "Entries of the copy in use.", gauge, func(f *fetch.Status) float64 { return float64(f.Entries) }),
		perFeed("feed_accepted_entries", "Entries of the copy in use that are in the set.", gauge, func(f *fetch.Status) float64 { return float64(f.Accepted) }),
		perFeed("feed_refused_entries", "Entries of the copy in use that a guard stopped.", gauge, func(f *fetch.Status) float64 {
			n := 0
			for _, k := range f.Refused {
				n += k
			}
			return float64(n)
		}),
		perFeed("feed_expired_entries", "Entries of the copy in use that are too old.", gauge, func(f *fetch.Status) float64 { return float64(f.Expired) }),
		perFeed("feed_rejected_parts", "Parts of rows of the copy in use that were not understood, in rows of which others were.", gauge, func(f *fetch.Status) float64 { return float64(f.RejectedParts) }),
		perFeed("feed_data_timestamp_seconds", "Time of the data in use by their own words, 0 where they have none.", gauge, func(f *fetch.Status) float64 { return unixOrZero(f.Updated) }),
		perFeed("feed_rejected_rows", "Rows of the copy in use that were not understood.", gauge, func(f *fetch.Status) float64 { return float64(f.Rejected) }),
		{name: "feed_age_seconds", help: "Time since the source last confirmed the copy in use, where there is one.", kind: gauge, labels: []string{"feed"}, each: feedAges},
		perFeed("feed_failures", "Failed attempts in a row.", gauge, func(f *fetch.Status) float64 { return float64(f.Failures) }),
		perFeed("feed_read_errors_total", "Failed attempts to read the stored copy of a feed.", counter, func(f *fetch.Status) float64 { return float64(f.ReadErrors) }),
		perFeed("feed_held_back", "1 while a newer copy is held back.", gauge, func(f *fetch.Status) float64 { return flag(f.Held != "") }),
		perFeed("feed_requests_total", "Requests sent to the source.", counter, func(f *fetch.Status) float64 { return float64(f.Requests) }),
		perFeed("feed_slow_requests_total", "Requests that were given up because the source was too slow.", counter, func(f *fetch.Status) float64 { return float64(f.SlowRequests) }),
		perFeed("feed_refused_redirects_total", "Redirects of the source that were not followed.", counter, func(f *fetch.Status) float64 { return float64(f.RefusedRedirects) }),
		perFeed("feed_bad_pieces", "Collections, events, pulses and other pieces of the source that cannot be read.", gauge, func(f *fetch.Status) float64 { return float64(f.BadPieces) }),
		perFeed("feed_objects", "Pulses, events or indicators of the copy in use, of sources that are read piece by piece.", gauge, func(f *fetch.Status) float64 { return float64(f.Objects) }),
		{name: "warninglist_stopped_total", help: "Hits that a warninglist stopped.", kind: counter, labels: []string{"feed"}, each: func(s *Status, put put) {
			for _, f := range s.Intel.Feeds {
				if f.Class != "" {
					put(float64(f.Stopped), f.Name)
				}
			}
		}},
	}
}

// feedAges are by the date that can be trusted, like the times that they are counted from.
func feedAges(s *Status, put put) {
	for i := range s.Intel.Feeds {
		if f := &s.Intel.Feeds[i]; !f.Taken.IsZero() {
			put(f.Age(s.Clock.Trusted).Seconds(), f.Name)
		}
	}
}

// dnsblMetrics have values only where zones are asked.
func dnsblMetrics() []metric {
	return []metric{
		{name: "dnsbl_addresses_total", help: "Addresses that block lists in the DNS were to be asked about, by what became of them.", kind: counter,
			labels: []string{"outcome"}, each: func(s *Status, put put) {
				if d := s.DNSBL; d != nil {
					put(float64(d.Cached), "cached")
					put(float64(d.Listed), "listed")
					put(float64(d.Unlisted), "unlisted")
					put(float64(d.Failed), "failed")
					put(float64(d.Dropped), "dropped")
				}
			}},
		ifDNSBL("dnsbl_asked_total", "Addresses handed over, of all outcomes but dropped.", func(d *DNSBLStatus) uint64 { return d.Asked }),
		ifDNSBL("dnsbl_queries_total", "Queries sent.", func(d *DNSBLStatus) uint64 { return d.Queries }),
		ifDNSBL("dnsbl_errors_total", "Queries that gave no answer.", func(d *DNSBLStatus) uint64 { return d.Errors }),
		{name: "dnsbl_answers", help: "Answers in the cache.", kind: gauge, each: func(s *Status, put put) {
			if s.DNSBL != nil {
				put(float64(s.DNSBL.Kept))
			}
		}},
		ifDNSBL("dnsbl_evicted_total", "Answers that left the full cache before their time.", func(d *DNSBLStatus) uint64 { return d.Evicted }),
		{name: "dnsbl_zone_up", help: "1 while the test points of a zone answer as they should.", kind: gauge, labels: []string{"zone"}, each: func(s *Status, put put) {
			if s.DNSBL != nil {
				for _, z := range s.DNSBL.Zones {
					put(flag(z.IPv4 || z.IPv6), z.Zone)
				}
			}
		}},
	}
}

func ifDNSBL(name, help string, f func(*DNSBLStatus) uint64) metric {
	return metric{name: name, help: help, kind: counter, each: func(s *Status, put put) {
		if s.DNSBL != nil {
			put(float64(f(s.DNSBL)))
		}
	}}
}

// unixOrZero gives a time in seconds; one that is not known is 0.
func unixOrZero(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
