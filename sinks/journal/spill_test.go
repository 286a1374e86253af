package journal

import (
	"testing"
	"time"
)

// TestSpill: what belongs on the disk, by durability, while a sink keeps up, lags, the
// memory is filling up, and at the stop.
func TestSpill(t *testing.T) {
	for _, tt := range []struct {
		d                          Durability
		keepsUp, lags, fills, stop uint64
	}{
		{Always, 100, 200, 300, 400},
		{OnOutage, 0, 200, 300, 400},
		{InMemory, 0, 0, 0, 0},
	} {
		s, now := spill{durability: tt.d, after: 5 * time.Second}, time.Now()
		for next := uint64(10); next <= 100; next += 10 { // a look every 3 s; all was delivered before
			now = now.Add(3 * time.Second)
			s.look(now, next-5, next, time.Second)
		}
		keepsUp := s.due(100, false)
		s.look(now.Add(time.Second), 0, 150, time.Second) // too soon
		soon := s.due(100, false)
		s.look(now.Add(3*time.Second), 99, 200, time.Second)
		lags := s.due(200, false)
		fills := s.due(300, true)
		s.stop(400)
		stop := s.due(400, false)
		if keepsUp != tt.keepsUp || soon != tt.keepsUp || lags != tt.lags || fills != tt.fills || stop != tt.stop {
			t.Errorf("%s: %d, %d, %d, %d, %d", tt.d, keepsUp, soon, lags, fills, stop)
		}
	}
}
