package incident

import (
	"cmp"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Less compares two incidents by how badly they need somebody: it is negative when a comes
// before b. The worst severity comes first, then those that one of ours called and that
// answered, then more days with contact, more bytes that our side sent, and the latest. The
// number of flows plays no part: whoever is scanned most is not in the worst trouble. Of equal
// ones the newer incident comes first.
func Less(a, b *Incident) int {
	return cmp.Or(
		cmp.Compare(b.Worst, a.Worst), worseFlag(a.Called && a.Answered, b.Called && b.Answered),
		cmp.Compare(b.Days, a.Days), cmp.Compare(b.BytesOut, a.BytesOut),
		b.Last.Compare(a.Last), cmp.Compare(b.ID, a.ID))
}

// LessHost compares two hosts of ours in the same way.
func LessHost(a, b *HostRow) int {
	return cmp.Or(
		cmp.Compare(b.Worst, a.Worst), worseFlag(a.Called && a.Answered, b.Called && b.Answered),
		cmp.Compare(b.Days, a.Days), cmp.Compare(b.BytesOut, a.BytesOut),
		b.Last.Compare(a.Last), flow.Addr6Of(b.Addr).Compare(flow.Addr6Of(a.Addr)), cmp.Compare(b.Site, a.Site))
}

// worseFlag orders what is set before what is not.
func worseFlag(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
