package runner

import (
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
)

// loggedPieces bounds the lines of one fetch in the log.
const loggedPieces = 5

// lastBad gives the bad pieces of earlier readings.
func (r *Runner) lastBad() map[string]source.Piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	bad := make(map[string]source.Piece, len(r.state.Bad))
	for _, p := range r.state.Bad {
		bad[p.Name] = p
	}
	return bad
}

// noteBad takes over what a reading has found to be bad, and logs what is new.
func (r *Runner) noteBad(found map[string]source.Piece) {
	bad := slices.SortedFunc(maps.Values(found), func(a, b source.Piece) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	last := r.lastBad()
	r.mu.Lock()
	r.state.Bad = bad
	r.mu.Unlock()
	news := 0
	for _, p := range bad {
		if _, known := last[p.Name]; known {
			continue
		}
		if news++; news <= loggedPieces {
			r.Log.Warn("a piece of a feed cannot be read; the others are used, and it is asked for again",
				zap.String("piece", p.Name), zap.String("why", p.Why))
		}
	}
	switch {
	case news > loggedPieces:
		r.Log.Warn("more pieces of a feed cannot be read; 'flowsnitch intel status' names some", zap.Int("more", news-loggedPieces))
	case len(bad) == 0 && len(last) > 0:
		r.Log.Info("all pieces of a feed can be read again")
	}
}
