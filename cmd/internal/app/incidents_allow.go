package app

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// An allowlist has the prefixes that no feed may list for a time, for false alarms.
type allowlist struct {
	book func() (*silence.Book, error) // to read it
	open func() (*silence.Book, error) // to change it
	// changed is called after a change. May be nil.
	changed func() error
}

// allowed is the allowlist of the instance.
func (l *incidentLog) allowed() allowlist {
	book := func() (*silence.Book, error) { return l.a.silences.book, nil }
	return allowlist{book: book, open: book}
}

// allowedOffline is the allowlist where no instance is running. Whoever adds to it has the lock
// of the state directory.
func allowedOffline(cfg *configs.Config) allowlist {
	return allowlist{
		book:    func() (*silence.Book, error) { return ReadSilences(cfg) },
		open:    func() (*silence.Book, error) { return OpenSilences(cfg) },
		changed: func() error { return HandOver(cfg.StateDir, silence.FileName) },
	}
}

// add lets no feed list an address for a time, and gives until when: of an entry that is there
// already and ends later, its end.
func (l allowlist) add(a netip.Addr, reason, author string, span time.Duration) (time.Time, error) {
	b, err := l.open()
	if err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	p := netip.PrefixFrom(a, a.BitLen())
	entry, err := b.Allow(ctx, silence.Allowed{Prefix: p, Reason: cmp.Or(silence.ReasonOf(reason), "false alarm"), Author: author, Until: b.Now().Add(span)})
	if errors.Is(err, silence.ErrThere) {
		list := b.AllowList()
		if k := slices.IndexFunc(list, func(o silence.Allowed) bool { return o.Prefix == p }); k >= 0 {
			return list[k].Until, nil
		}
	}
	if err == nil && l.changed != nil {
		err = l.changed()
	}
	return entry.Until, err
}

// of gives the entries that have an address. Where they cannot be read there are none: the set
// is built without them as well.
func (l allowlist) of(a netip.Addr) []silence.Allowed {
	b, err := l.book()
	if err != nil {
		return nil
	}
	return b.MatchAllowed(netip.PrefixFrom(a, a.BitLen()))
}
