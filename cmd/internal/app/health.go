package app

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// statusChecks are the checks that look at a Status as a whole, because they compare what
// several components count. A check of one component belongs to that component.
var statusChecks = []string{"canary", "clock", "exporters", "feeds", "loss", "sinks", "spool", "templates", "workers"}

// A finding is an [observe.Finding] while it is being made.
type finding struct{ observe.Finding }

// The limits that the configuration does not set, in the units of their checks.
const (
	canaryGrace                   = 45 // seconds that one may be under way
	canaryCritical                = 5  // of them missing
	lossWarning, lossCritical     = 0.1, 1
	sinkCritical                  = 300
	spoolWarning, spoolCritical   = 50, 90
	workerWarning, workerCritical = 5, 10
	muchWorse                     = 4 // times the warning is critical, of silence and age
	silenceFactor                 = 3 // times the usual long pause of an exporter
	ageFactor                     = 2 // times its interval is too old for a feed
	firstExporterWithin           = 10 * time.Minute
	firstFeedWithin               = 5 * time.Minute
	leastAge                      = time.Minute // for a feed of seconds
	maxNamed                      = 3
)

// A past is what health must know beside a status.
type past struct {
	limits configs.Health
	named  []sites.Exporter // by the configuration
	caps   decode.Limits

	status  Status                   // the counters of lossWindow ago, or of the start
	failing map[string]time.Duration // how long each sink has been failing
	habits  map[netip.Addr]habit
	transit float64 // percent of the flows of the last hour
	// date is the time now by a clock that can be trusted.
	date time.Time
}

// findings judges a status at the time now. It has one finding for each check, in
// alphabetical order.
func findings(s *Status, p *past, now time.Time) []observe.Finding {
	list := []finding{
		canaryFinding(s, now), clockFinding(s), exporterFinding(s, p, now), feedFinding(s, p, now), lossFinding(s, &p.status),
		sinkFinding(s, p), spoolFinding(s, &p.status, now), templateFinding(s, p, now), workerFinding(s, now),
	}
	var out []observe.Finding
	for i := range list {
		list[i].Value = math.Round(list[i].Value*1000) / 1000
		out = append(out, list[i].Finding)
	}
	slices.SortFunc(out, func(a, b observe.Finding) int { return strings.Compare(a.Check, b.Check) })
	return out
}

// named lists some of many.
func named(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

// ago gives seconds as people say them.
func ago(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// percent prints a share: two digits below 1, none after the point from 10 on.
func percent(share float64) string {
	digits := 0
	switch {
	case share < 0.0005:
		return "less than 0.001"
	case share < 0.095:
		digits = 3
	case share < 0.95:
		digits = 2
	case share < 9.5:
		digits = 1
	}
	text := strconv.FormatFloat(share, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}
