// Package words has what several forms call an event, in the words of their readers. It owns
// nothing; the packages of the forms call it.
package words

import (
	"cmp"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
)

// MaxProse bounds a reason or a reference within a line of text, in bytes.
const MaxProse = 512

// Signature names what was found: the name of an alert, else the category of the
// best listing.
func Signature(e *event.Event) string {
	switch {
	case e.Kind == event.KindAlert:
		return cmp.Or(e.Alert, "alert")
	case e.Kind == event.KindCanary:
		return "canary"
	case len(e.Indicators) > 0:
		return cmp.Or(e.Indicators[0].Category, "listed")
	}
	return "listed"
}

// Title is what kind of event it is, for people.
func Title(e *event.Event) string {
	switch e.Kind {
	case event.KindHit:
		if e.Retro {
			return "Blacklist hit in the past"
		}
		return "Blacklist hit"
	case event.KindUpdate:
		return "Blacklist contact update"
	case event.KindAlert:
		return "Alert"
	case event.KindCanary:
		return "Canary"
	}
	return "Event"
}

// TLP writes a label of the Traffic Light Protocol in capitals; join stands between
// the words of AMBER+STRICT.
func TLP(l *jsonline.Line, key, label string, join byte) {
	l.Key(key)
	l.B = append(l.B, '"')
	start := len(l.B)
	l.B = fit.AppendName(l.B, label, event.MaxName)
	for i, c := range l.B[start:] {
		switch {
		case label[i] == '+':
			l.B[start+i] = join
		case 'a' <= c && c <= 'z':
			l.B[start+i] = c - 'a' + 'A'
		}
	}
	l.B = append(l.B, '"')
}
