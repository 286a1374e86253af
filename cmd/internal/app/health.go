package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

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

// leastRefused is how many datagrams within observe.Window make a sender that is not allowed one
// that goes on sending; fewer are a stray or a scan.
const leastRefused = 3

// manyRefused is how many datagrams of senders that send little each are worth a word.
const manyRefused = 100

// leastUndecodable is how many datagrams, sets or records within observe.Window cannot be
// decoded before somebody must look: one that is forged is not worth a word.
const leastUndecodable = 10

// startTrouble is for how long what was wrong at the start stays a finding.
const startTrouble = time.Hour

// nearlyFull is the share of a limit in bytes from which it counts as reached: the next
// item may not fit any more.
const nearlyFull = 0.95

// newLoss begins a finding about what was lost, as a share of what there was.
func newLoss() finding {
	return finding{observe.Finding{Check: "loss", Unit: "%", Warning: lossWarning, Critical: lossCritical}}
}

// share takes in how much was lost, beside all that was not. The text has the number and
// the percentage.
func (f *finding) share(key string, lost, all uint64, format string) {
	if lost == 0 {
		return
	}
	share := 100 * float64(lost) / float64(lost+all)
	f.Value = max(f.Value, share)
	f.Add(key, format, lost, percent(share))
}

// newTurn begins a finding about loops of the path, each of which turns once a second.
func newTurn() finding {
	return finding{observe.Finding{Check: "workers", Unit: "s", Warning: workerWarning, Critical: workerCritical}}
}

// turned takes in when a loop turned last.
func (f *finding) turned(beat, now time.Time, name string) {
	stall := now.Sub(beat).Seconds()
	f.Value = max(f.Value, stall)
	if stall > workerWarning {
		f.Add(name, "%s has not turned for %s: the machine is overloaded, or restart the instance and report this", name, ago(stall))
	}
}

// addFor is add for a cause that is one piece of news for each of many.
func (f *finding) addFor(what []string, format string, args ...any) {
	f.Add(what[0], format, args...)
	f.AddKeys(what[1:]...)
}

// after puts a text behind a comma, if there is one.
func after(text string) string {
	if text == "" {
		return ""
	}
	return ", " + text
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
