package incident

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// alertJSON is an alert in JSON, in the words of the events; the host of ours is local.
type alertJSON struct {
	ID       uuid.UUID  `json:"id"`
	Time     time.Time  `json:"time"`
	Alert    string     `json:"alert"`
	Severity severity   `json:"severity"`
	Reason   string     `json:"reason,omitempty"`
	Offender netip.Addr `json:"offender,omitzero"`
	Local    netip.Addr `json:"local,omitzero"`
	TLP      string     `json:"tlp,omitempty"`
	Rule     *Evidence  `json:"rule,omitempty"`
}

// MarshalJSON gives an alert as an object.
func (a Alert) MarshalJSON() ([]byte, error) {
	return json.Marshal(alertJSON{a.ID, a.Time, a.Name, severity(a.Severity), a.Reason, a.Offender, a.Host, a.TLP, a.Evidence})
}

// UnmarshalJSON reads what MarshalJSON gives.
func (a *Alert) UnmarshalJSON(b []byte) error {
	var j alertJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*a = Alert{j.ID, j.Time, j.Alert, j.Reason, event.Severity(j.Severity), j.Offender, j.Local, j.TLP, j.Rule}
	return nil
}
