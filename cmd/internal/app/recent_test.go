package app

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestRecent: the last ten hits and alerts are kept, whatever the batches they come in.
func TestRecent(t *testing.T) {
	for _, batch := range []int{1, 3, 7, 40} {
		var r recentList
		if n := len(r.events()); n != 0 {
			t.Fatalf("%d events of none", n)
		}
		var events []event.Event
		for i := range 40 {
			kind := []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary}[i%4]
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			events = append(events, event.Event{Kind: kind, Src: addr, Offender: addr, Dst: netip.IPv4Unspecified(), Reason: fmt.Sprint("reason ", i)})
		}
		for i := 0; i < len(events); i += batch {
			r.add(events[i:min(i+batch, len(events))])
		}
		list := r.events()
		if len(list) != maxRecent {
			t.Fatalf("batches of %d: %d events", batch, len(list))
		}
		for i, e := range list { // the latest first: 38 is an alert, 36 a hit
			n := 38 - 2*i
			want := fmt.Sprintf("192.0.2.%d -> ", n)
			if n%4 == 2 {
				want = fmt.Sprint("reason ", n)
			}
			if !strings.Contains(e.Text, want) || strings.Contains(e.Text, "\n") {
				t.Errorf("batches of %d: event %d is %+v, want %q", batch, i, e, want)
			}
		}
	}
}
