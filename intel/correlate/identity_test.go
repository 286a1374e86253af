package correlate

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// TestEventsOfAContact ties the events of a contact together: one id, numbers from
// 1 on, and a mark on the last one.
func TestEventsOfAContact(t *testing.T) {
	s := newStage(t, nil)
	first := t0.Add(-time.Second)
	beacon := beacon
	beacon.Received = first
	s.at(0, beacon)
	hit := s.one(event.KindHit)
	s.at(time.Second, answer) // answered: at once
	answered := s.one(event.KindUpdate)
	s.at(2*time.Second, scan)
	other := s.one(event.KindHit)
	beacon.Received = time.Time{}
	s.at(10*time.Minute, beacon)
	s.Flush(t0.Add(11 * time.Minute))
	last := s.one(event.KindUpdate)
	for i, e := range []event.Event{hit, answered, last} {
		if e.Contact != hit.Contact || e.Seq != uint32(i+1) || e.Last != (i == 2) || e.ServicePort != 443 || !e.ContactFirstSeen.Equal(first) {
			t.Errorf("event %d: contact %s, seq %d, last %v, port %d, first seen %s", i, e.Contact, e.Seq, e.Last, e.ServicePort, e.ContactFirstSeen)
		}
	}
	if other.Contact == hit.Contact || other.Contact == (uuid.UUID{}) || other.Seq != 1 || other.ServicePort != 22 {
		t.Errorf("another contact has id %s, seq %d, port %d", other.Contact, other.Seq, other.ServicePort)
	}
	s.at(12*time.Minute, beacon) // the same conversation after the end of its contact
	if again := s.one(event.KindHit); again.Contact == hit.Contact || again.Seq != 1 {
		t.Errorf("contact %s, seq %d after the end of contact %s", again.Contact, again.Seq, hit.Contact)
	}
}
