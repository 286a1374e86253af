package store

import (
	"context"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Beat writes what a run of the program has done in some hours, in a transaction of its own. It
// is given totals of the run, so that they may be written again when it is not certain whether
// an earlier try has succeeded. The number of a run is above 0.
func (s *Store) Beat(ctx context.Context, run int64, hours []incident.HourPulse) error {
	var values []any
	for i := range hours {
		values = schema.PulseValues(values, run, hours[i].Hour.Unix(), &hours[i].Pulse)
	}
	return s.writes(ctx, func(w *writing) error { return w.Put(schema.Pulse, values) })
}
