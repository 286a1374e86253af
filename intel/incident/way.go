package incident

// A Way is the worst that happened between an offender and hosts of ours, in a word.
type Way string

// The ways, the worst first.
const (
	WayCalled   Way = "called"   // ours opened a contact, and it was answered
	WayTried    Way = "tried"    // ours opened contacts, and none was answered
	WayAnswered Way = "answered" // the offender opened a contact, and ours answered
	WayScanned  Way = "scanned"  // the offender opened contacts, and ours answered none
	WayInternal Way = "internal" // the offender is an address of ours itself
	WayTransit  Way = "transit"  // no end is ours
	WayUnknown  Way = "unknown"  // the flows do not show who began
)

// Way gives what happened between the offender and our hosts.
func (i *Incident) Way() Way {
	if w := wayOf(i.Called, i.Outbound, i.Answered, i.Inbound, i.Internal); w != WayUnknown || !i.Transit {
		return w
	}
	return WayTransit
}

// Way gives what happened between this host and the offender, or all offenders of a [HostRow].
func (h *HostShare) Way() Way { return wayOf(h.Called, h.Outbound, h.Answered, h.Inbound, h.Internal) }

func wayOf(called, outbound, answered, inbound, internal bool) Way {
	switch {
	case called:
		return WayCalled
	case outbound:
		return WayTried
	case inbound && answered:
		return WayAnswered
	case inbound:
		return WayScanned
	case internal:
		return WayInternal
	}
	return WayUnknown
}
