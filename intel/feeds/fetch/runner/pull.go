package runner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/misp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/otx"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/taxii"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// pull asks the source. The note is for the status.
func (r *Runner) pull(ctx context.Context) (out source.Outcome, note string, err error) {
	c, err := client.New(&r.Spec, r.shared.Bounds, r.shared.Agent, r.shared.Dial)
	if err != nil {
		return source.Failed, "", err
	}
	defer func() {
		c.Close()
		r.mu.Lock()
		r.requests += c.Sent
		r.slowSource += c.Slow
		r.refused += c.Refused
		r.state.Code = c.Code
		r.mu.Unlock()
		if _, typed := errors.AsType[*client.StatusError](err); err != nil && !typed && !client.IsNetError(err) {
			err = c.Scrub.Err(err)
		}
		if err != nil {
			out = source.Failed
		}
	}()
	j := &source.Job{
		Spec: &r.Spec, Client: c, Copy: inUse{r}, Now: r.shared.Now, MaxIndicators: r.shared.MaxIndicators, MaxObjects: r.shared.Bounds.MaxObjects,
		Bad: r.lastBad(),
	}
	r.mu.Lock()
	j.Failures, j.Slow = r.state.Failures, r.state.Slow
	r.mu.Unlock()
	out, note, err = pull(ctx, j)
	r.noteBad(j.Bad)
	r.mu.Lock()
	r.state.Slow = j.Slow
	r.mu.Unlock()
	return out, note, err
}

// pull reads the source by its kind. The note is for the status.
func pull(ctx context.Context, j *source.Job) (out source.Outcome, note string, err error) {
	switch j.Spec.Kind {
	case spec.KindOTX:
		return otx.Pull(ctx, j)
	case spec.KindTAXII:
		return taxii.Pull(ctx, j)
	case spec.KindMISPFeed:
		return misp.PullFeed(ctx, j)
	case spec.KindMISPSearch:
		return misp.PullSearch(ctx, j)
	}
	out, err = source.PullHTTP(ctx, j)
	return out, "", err
}

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
