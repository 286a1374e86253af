package store

import (
	"context"
	"errors"

	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/forget"
)

// Prune forgets what is older than it is to be kept, and what is too much, see [forget.Run].
// Once a day it checks the SQLite file before, see [Store.Check].
func (s *Store) Prune(ctx context.Context) (forget.Pruned, error) {
	now := s.cfg.Now().Unix()
	if err := s.checkDaily(ctx, now); err != nil {
		return forget.Pruned{}, err
	}
	keep, keepJudged, most := s.keeps()
	p, err := forget.Run(ctx, forget.Base{
		Read: s.db.Read,
		Write: func(ctx context.Context, f func(*database.Tx) error) error {
			return s.writes(ctx, func(w *writing) error { return f(w.Tx) })
		},
		Recount: recountHost,
	}, forget.Limits{Keep: keep, Judged: keepJudged, Max: most, Now: now})
	s.mu.Lock()
	t := &s.stats.Pruned
	t.Old, t.Over, t.Contacts, t.Alerts = t.Old+p.Old, t.Over+p.Over, t.Contacts+p.Contacts, t.Alerts+p.Alerts
	s.mu.Unlock()
	return p, errors.Join(err, s.recount(ctx))
}

// checkDaily reads the whole file once a day: otherwise damage to a page would stay unnoticed
// until that page is needed.
func (s *Store) checkDaily(ctx context.Context, now int64) error {
	s.mu.Lock()
	due := now-s.checked >= 86_400
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.Check(ctx)
}
