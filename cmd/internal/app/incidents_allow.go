package app

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// allow lets no feed list the address of a false alarm for a time.
func (l *incidentLog) allow(p netip.Prefix, reason, author string, until time.Time) error {
	return allowIn(l.a.silences.book, p, reason, author, until)
}

// allowOffline is allow where no instance is running. The lock of the state directory is held.
func allowOffline(cfg *configs.Config) func(p netip.Prefix, reason, author string, until time.Time) error {
	return func(p netip.Prefix, reason, author string, until time.Time) error {
		b, err := OpenSilences(cfg)
		if err != nil {
			return err
		}
		return errors.Join(allowIn(b, p, reason, author, until), HandOver(cfg.StateDir, silence.FileName))
	}
}

// allowIn adds an entry, unless there is one that ends no earlier.
func allowIn(b *silence.Book, p netip.Prefix, reason, author string, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	_, err := b.Allow(ctx, silence.Allowed{Prefix: p, Reason: cmp.Or(reason, "false alarm"), Author: author, Until: until})
	if errors.Is(err, silence.ErrThere) {
		return nil
	}
	return err
}
