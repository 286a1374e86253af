package app

import (
	"fmt"
	"io"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
)

// An IntelStatus is the set in force.
type IntelStatus struct {
	Version    string    `json:"version" show:"some" words:"set"`
	Built      time.Time `json:"built" name:"set_built_timestamp_seconds" help:"When the set in force was built."`
	Indicators int       `json:"indicators" name:"indicators" help:"Indicators in the set in force." show:"always"`
	// Feeds are all feeds and warninglists, in the order of the configuration, the
	// lists of the command line first.
	Feeds []fetch.Status `json:"feeds,omitempty"`
	// Quarantined are entries that matched an absurd share of all flows: their hits are
	// rolled up for a day.
	Quarantined []quarantine.Quarantined `json:"quarantined,omitempty" name:"quarantined_entries" help:"Entries in quarantine."`
	// HitsDay counts the hits of the last 24 hours by feed.
	HitsDay map[string]uint64 `json:"hits_day,omitempty" name:"-" label:"feed"`
}

// setFeedAges fills in how old feeds are at a date that can be trusted.
func setFeedAges(feeds []fetch.Status, date time.Time) {
	for i := range feeds {
		if f := &feeds[i]; !f.Taken.IsZero() {
			age := f.Age(date).Seconds()
			f.AgeSeconds = &age
		}
	}
}

// shown is the status with what follows from the time now.
func (d *feedService) shown() IntelStatus {
	s := d.status()
	setFeedAges(s.Feeds, d.now())
	d.days.look(d.hits(), time.Now())
	s.HitsDay = d.days.status()
	return s
}

// printIntel prints the set in force, and the entries in quarantine.
func printIntel(w io.Writer, s IntelStatus, _ bool) {
	fmt.Fprintf(w, "intel      %d indicators, set %s\n", s.Indicators, s.Version)
	printQuarantine(w, s.Quarantined)
}

// printQuarantine prints entries that matched an absurd share of all flows.
func printQuarantine(w io.Writer, list []quarantine.Quarantined) {
	for i, q := range list {
		if i == maxLines {
			fmt.Fprintf(w, "           and %d more\n", len(list)-i)
			return
		}
		fmt.Fprintf(w, "quarantine %s since %s: %s; rolled up for a day\n", q.Prefix, q.Since.UTC().Format(time.RFC3339), show.Printable(q.Why))
	}
}
