package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
)

// Quarantine marks a listed prefix as one whose hits are to be rolled up: for a day, also
// after a restart, or until Accept is called with it. It reports whether that is new:
// it is not while the prefix is there, and for a day after Accept. With an error that
// comes beside true the mark is not saved.
func (m *Manager) Quarantine(p netip.Prefix, why string) (added bool, err error) {
	now := m.now()
	err = m.quarantine.Change(m.dir, now, func(list []quarantine.Quarantined) ([]quarantine.Quarantined, error) {
		switch {
		case slices.ContainsFunc(list, func(q quarantine.Quarantined) bool { return q.Prefix == p }):
			return nil, errKnown
		case len(list) >= quarantine.MaxQuarantined:
			return nil, fmt.Errorf("%d entries are quarantined already, which is all that is kept", len(list))
		}
		added = true
		return append(list, quarantine.Quarantined{Prefix: p, Since: now, Why: why}), nil
	})
	if errors.Is(err, errKnown) {
		err = nil
	}
	return added, err
}

var errKnown = errors.New("known")

// Quarantined gives what is in quarantine, the oldest first. It never waits.
func (m *Manager) Quarantined() []quarantine.Quarantined {
	now := m.now()
	return slices.DeleteFunc(slices.Clone(m.quarantine.All()), func(q quarantine.Quarantined) bool {
		return !q.Accepted.IsZero() || q.Over(now)
	})
}

// release ends the quarantine of a prefix.
func (m *Manager) release(p netip.Prefix) error {
	now := m.now()
	return m.quarantine.Change(m.dir, now, func(list []quarantine.Quarantined) ([]quarantine.Quarantined, error) {
		i := slices.IndexFunc(list, func(q quarantine.Quarantined) bool { return q.Prefix == p && q.Accepted.IsZero() })
		if i < 0 {
			return nil, fmt.Errorf("%s is not quarantined", p)
		}
		list[i].Accepted = now
		return list, nil
	})
}
