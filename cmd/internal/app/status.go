package app

import (
	"encoding/json"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// A Status is what commands read of the sections of a running instance. Metrics, the JSON
// and the checks are made from the sections themselves, so that a new number or component
// need not be here.
type Status struct {
	InstanceStatus
	Memory    MemoryStatus      `json:"memory"`
	Stalled   []Stalled         `json:"stalled,omitempty"`
	Web       *web.Stats        `json:"web,omitempty"`
	Silences  SilenceStatus     `json:"silences"`
	Sinks     []SinkStatus      `json:"sinks"`
	Journal   JournalStatus     `json:"journal"`
	Recent    []RecentEvent     `json:"recent,omitempty"`
	Latest    []LatestStatus    `json:"latest,omitempty"`
	Incidents IncidentStatus    `json:"incidents"`
	Clock     ClockStatus       `json:"clock"`
	Intel     IntelStatus       `json:"intel"`
	Exports   ExportStatus      `json:"exports"`
	Hits      HitStatus         `json:"hits"`
	DNSBL     *DNSBLStatus      `json:"dnsbl,omitempty"`
	Decoded   DecodeStatus      `json:"decoded"`
	Exporters ExporterStatus    `json:"exporters"`
	History   history.Stats     `json:"history"`
	Hunt      HuntStatus        `json:"hunt"`
	Retro     retro.Stats       `json:"retro"`
	Rules     RuleStatus        `json:"rules"`
	Report    ReportStatus      `json:"report"`
	Listeners []ListenerStatus  `json:"listeners"`
	Canary    canary.Status     `json:"canary"`
	Health    []observe.Finding `json:"health"`

	// Losses are the numbers of all sections that count losses; only 'flowsnitch top' asks
	// for them.
	Losses []observe.Sample `json:"-"`
}

// Status reads the sections as a client does. Any goroutine may ask, also while Start is at
// work: what is not ready yet is missing.
func (a *App) Status() (s Status) {
	b, err := a.registry.AppendJSON(nil, true)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		a.log.Error("the status cannot be read", zap.Error(err)) // a mistake in a section
	}
	return s
}
