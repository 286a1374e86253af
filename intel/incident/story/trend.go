package story

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// A pace compares a day that is not over with the one before.
type pace int

// The paces.
const (
	paceUnknown pace = iota // too early in the day, or no days are kept
	paceQuiet               // neither day had contact
	paceNew
	paceBack // contact today, none yesterday
	paceOver // contact yesterday, none today
	paceLess // less than half of yesterday's pace
	paceSame
	paceMore  // more than half as much again as yesterday, if it goes on like this
	paceWorse // more by now than in all of yesterday
)

// paceOf compares flows of today with those of yesterday, by UTC. part is how much of today
// has passed, 0 to 1.
func paceOf(today, yesterday uint64, firstToday bool, part float64) pace {
	const early = 1.0 / 24
	speed := float64(today) / max(part, 1e-6)
	switch {
	case today == 0 && yesterday == 0:
		return paceQuiet
	case today > 0 && yesterday == 0 && firstToday:
		return paceNew
	case today > 0 && yesterday == 0:
		return paceBack
	case today > yesterday:
		return paceWorse
	case part < early:
		return paceUnknown
	case today == 0:
		return paceOver
	case speed > 1.5*float64(yesterday):
		return paceMore
	case speed < 0.5*float64(yesterday):
		return paceLess
	}
	return paceSame
}

// Trend gives in one sentence whether it is worse than yesterday; empty = not known.
func Trend(daily []incident.Day, first, now time.Time) string {
	if len(daily) == 0 {
		return ""
	}
	day := incident.DayOf(now)
	var today, yesterday incident.Day
	for _, d := range daily {
		switch d.Day {
		case day:
			today = d
		case day - 1:
			yesterday = d
		}
	}
	part := now.Sub(incident.DateOf(day)).Hours() / 24
	numbers := fmt.Sprintf("%s today by now (UTC), %s in all of yesterday", amount(&today), amount(&yesterday))
	switch paceOf(today.Flows, yesterday.Flows, incident.DayOf(first) == day, part) {
	case paceQuiet:
		return "Quiet: no flow of it today or yesterday (UTC)."
	case paceNew:
		return fmt.Sprintf("New today: %s (UTC).", amount(&today))
	case paceBack:
		return fmt.Sprintf("It is back: %s today (UTC), none yesterday.", amount(&today))
	case paceOver:
		return fmt.Sprintf("Less than yesterday: no flow today (UTC), %s yesterday.", amount(&yesterday))
	case paceLess:
		return "Less than yesterday: " + numbers + "."
	case paceSame:
		return "About as much as yesterday: " + numbers + "."
	case paceMore:
		return "On the way to more than yesterday: " + numbers + "."
	case paceWorse:
		return "Worse than yesterday: " + numbers + "."
	}
	return "Too early to compare with yesterday: " + numbers + "."
}

func amount(d *incident.Day) string {
	if d.BytesOut == 0 {
		return count(d.Flows, "flow", "flows")
	}
	return fmt.Sprintf("%s with %s sent", count(d.Flows, "flow", "flows"), observe.Size(d.BytesOut))
}
