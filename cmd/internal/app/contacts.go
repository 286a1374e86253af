package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
)

// contacts are the correlator and the queue before it.
type contacts struct {
	correlator *correlate.Correlator
	loop       *queue.Loop

	feeds *feedService  // whose hits are counted
	found func() uint64 // hits, by all matchers
}

func newContacts(cfg *configs.Config, clock *watch, publish func([]event.Event), canaries *canary.Watch, feeds *feedService) *contacts {
	c := cfg.Contact
	c.Unsynced = clock.Unsynced
	k := &contacts{correlator: correlate.New(c, publish), feeds: feeds}
	k.correlator.OnCanary(canaries.Judge)
	k.loop = queue.NewLoop(k.correlator, c.HitQueue)
	return k
}

// Register shows and judges the correlator.
func (k *contacts) Register(c *observe.Component) {
	c.Add(observe.Printed("hits", k.status, printHits), contactChecks(k.status))
}

// Start starts the goroutine of the correlator.
func (k *contacts) Start() error {
	k.loop.Start()
	return nil
}

// Stop takes what is in the queue and ends all contacts.
func (k *contacts) Stop(context.Context) error {
	k.loop.Stop()
	return nil
}

func (k *contacts) feedHits() []listing.FeedHits {
	hits, _ := k.correlator.Tally().FeedHits()
	return hits
}

func (k *contacts) status() HitStatus {
	s := HitStatus{Correlator: k.correlator.Stats(), Beat: byWall(k.loop.Beat())}
	s.queue(k.loop.Stats()) // against the stream: what was found is read after what was queued
	s.Found = k.found()
	s.Feeds, s.FeedsOther = k.correlator.Tally().FeedHits()
	s.Feeds = withAllFeeds(s.Feeds, k.feeds.status().Feeds)
	return s
}

// contactChecks look for hits and contacts that are lost, and for a correlator that stands.
func contactChecks(hits func() HitStatus) observe.Checks {
	var past observe.History[HitStatus]
	return observe.Checks{Names: []string{"loss", "workers"}, States: func(now time.Time) []observe.Finding {
		s := hits()
		before := past.Note(now, s)
		loss, turn := newLoss(), newTurn()
		loss.share("queue", observe.Grown(s.HitQueueFull, before.HitQueueFull), observe.Grown(s.Found, before.Found),
			"%d hits found a full queue (%s %%): raise contact.hit_queue, or look for a feed that lists too much")
		loss.Judge()
		loss.graveHits(&s, &before)
		loss.contactCaps(&s, &before)
		loss.Otherwise("nothing was lost in the last minutes")
		turn.turned(s.Beat, now, "the correlator")
		turn.Judge()
		turn.Otherwise("all workers turn")
		return []observe.Finding{loss.Finding, turn.Finding}
	}}
}

// graveHits reports lost hits that could have been of a high severity.
func (f *finding) graveHits(s, before *HitStatus) {
	n := uint64(0)
	for i := event.High; int(i) < len(s.HitsLost); i++ {
		n += observe.Grown(s.HitsLost[i], before.HitsLost[i])
	}
	if n > 0 {
		f.AtLeast(observe.Critical)
		f.Add("grave", "%d of the hits that found a full queue could have been of severity high or critical", n)
	}
}

// contactCaps reports contacts and remembered flows that had to make room.
func (f *finding) contactCaps(s, before *HitStatus) {
	c, o := &s.Correlator, &before.Correlator
	if n := observe.Grown(c.ContactsEvicted, o.ContactsEvicted); n > 0 {
		f.AtLeast(observe.Warning)
		severe := uint64(0)
		for i := event.High; int(i) < len(c.EvictedBySeverity); i++ {
			severe += observe.Grown(c.EvictedBySeverity[i], o.EvictedBySeverity[i])
		}
		f.Add("evicted", "%d contacts had to make room (%d high or critical), their next hits count as new: raise contact.max_contacts, or look for a feed that lists too much", n, severe)
	}
	if n := observe.Grown(c.CrowdedOut, o.CrowdedOut); n > 0 {
		f.Warn("crowded out", "%d hits are rolled up in one event, all contacts that are held are more severe: raise contact.max_contacts, or look for a feed that lists too much", n)
	}
	if n := observe.Grown(c.FlowsForgotten, o.FlowsForgotten); n > 0 {
		f.Warn("forgotten", "%d remembered flows had to make room, what other exporters show of them counts twice: raise contact.max_flows", n)
	}
}

// A HitStatus is what the correlator did.
type HitStatus struct {
	Found uint64 `json:"found" name:"hits_found_total" help:"Hits found by the matchers." show:"always"`
	// Feeds are the hits by feed and direction; FeedsOther those beyond the cap.
	Feeds        []listing.FeedHits `json:"feeds,omitempty"`
	FeedsOther   uint64             `json:"feeds_other,omitempty" name:"hits_other_total" help:"Hits of feeds beyond the first 1,000 pairs of feed and direction." show:"some" words:"of feeds that are not counted separately (no room)"`
	HitQueueFull uint64             `json:"hit_queue_full" name:"-" show:"always" words:"lost (hit queue full)"`
	// HitsLost are those of HitQueueFull by the severity that they could have reached,
	// low to critical.
	HitsLost [4]uint64 `json:"hits_lost" name:"hit_queue_dropped_total" help:"Hits lost because the queue was full, by the severity that they could have reached." label:"severity" values:"low,medium,high,critical" words:"hits lost" loss:"true" judged:"loss"`
	// Offered are hits and canaries handed to the correlator, those that were lost
	// included; Queued of them wait now.
	Offered    uint64          `json:"offered" name:"hits_offered_total" help:"Hits and canaries handed to the correlator, including those lost to a full queue."`
	Queued     int             `json:"queued" name:"hit_queue_length" help:"Hits and canaries waiting for the correlator."`
	Correlator correlate.Stats `json:"correlator"`
	// Beat is the time of the last turn of the correlator, which turns once a second,
	// even when nothing comes.
	Beat time.Time `json:"beat,omitzero" name:"correlator_idle_seconds" help:"Time since the last turn of the correlator, which turns once a second."`
}

// queue takes in the counters of the queue before the correlator.
func (h *HitStatus) queue(s queue.Stats) {
	h.HitQueueFull, h.HitsLost = s.HitQueueFull, s.LostBySeverity
	h.Offered, h.Queued = s.Offered, s.Queued
}

// withAllFeeds adds what has had no hit, so that its first hit is a rise.
func withAllFeeds(hits []listing.FeedHits, feeds []fetch.Status) []listing.FeedHits {
	known := make(map[listing.FeedHits]bool)
	for _, h := range hits {
		known[listing.FeedHits{Feed: h.Feed, Direction: h.Direction}] = true
	}
	for i := range feeds {
		if feeds[i].Class != "" {
			continue // a warninglist lists nothing that could be a hit
		}
		for _, d := range []event.Direction{event.Inbound, event.Outbound, event.Internal, event.Transit} {
			if key := (listing.FeedHits{Feed: feeds[i].Name, Direction: d}); !known[key] {
				hits = append(hits, key)
			}
		}
	}
	return hits
}

// printHits prints what became of the hits.
func printHits(w io.Writer, s HitStatus, _ bool) {
	h := s.Correlator
	fmt.Fprintf(w, "hits       %d found, %d contacts now, %d hit and %d update events, %d lost (hit queue full), %d contacts evicted",
		s.Found, h.Contacts, h.HitEvents, h.UpdateEvents, s.HitQueueFull, h.ContactsEvicted)
	fmt.Fprintln(w, show.Some(show.Count(h.FlowsForgotten, "remembered flows forgotten to make room"), show.Count(h.ExportersOverCap, "of an exporter not listed in its contact (no room)"),
		show.Count(h.Suspect, "with a flow time more than 24 h from the receipt"), show.Count(s.FeedsOther, "of feeds that are not counted separately (no room)")))
	if l := s.HitsLost; s.HitQueueFull > 0 {
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
		fmt.Fprintln(w, show.Some(show.Count(h.FoldedFlowsForgotten, "of their flows forgotten to make room")))
	}
}
