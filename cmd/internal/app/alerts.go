package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/google/uuid"
	"go.uber.org/zap"
)

// alerts are what the operator must know, as events.
type alerts struct {
	sensor  string
	store   *lookup.Store
	clock   *watch
	publish func([]event.Event)
	log     *zap.Logger
}

// send sends an alert the way of all events, and logs it. about is the listing that it
// is about, or nil.
func (a *alerts) send(name, text string, about *intel.Indicator) {
	a.log.Warn(text, zap.String("alert", name))
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	e := event.Event{
		Kind: event.KindAlert, ID: id, Time: time.Now(), Sensor: a.sensor, Alert: name, Reason: text,
		Severity: event.Medium, IntelVersion: a.store.Load().Version(),
	}
	if a.clock.Unsynced() {
		e.Clock = "unsynced"
	}
	if about != nil {
		e.Severity, e.Indicators = event.High, []event.Indicator{event.Indicator(*about)}
		if about.Prefix.IsSingleIP() {
			e.Offender = about.Prefix.Addr()
		}
	}
	a.publish([]event.Event{e})
}
