package fetch

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/runner"
)

// gatherTime is how long feeds whose providers cannot be reached are gathered into one line
// of the log: without a network all of them fail, and one line is enough for all.
const gatherTime = 15 * time.Second

// maxUnreached is how many feeds may wait to be gathered; more are named at once.
const maxUnreached = 64

// An unreached is a feed whose provider could not be reached: what is used meanwhile, and
// why.
type unreached struct {
	r             *runner.Runner
	fallback, why string
}

// gathers hands a feed over that could not be reached, and reports whether it will be named
// with others.
func (m *Manager) gathers(r *runner.Runner, fallback, why string) bool {
	if !m.gathering.Load() {
		return false // by hand
	}
	select {
	case m.unreached <- unreached{r, fallback, why}:
		return true
	default:
		return false
	}
}

// nameUnreached logs the feeds that could not be reached, those of some seconds together.
func (m *Manager) nameUnreached(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-m.unreached:
			m.logUnreached(m.gather(ctx, first))
		}
	}
}

// gather waits for others to come.
func (m *Manager) gather(ctx context.Context, first unreached) []unreached {
	all := []unreached{first}
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for {
		select {
		case u := <-m.unreached:
			all = append(all, u)
		case <-timer.C:
			return all
		case <-ctx.Done():
			for len(m.unreached) > 0 {
				all = append(all, <-m.unreached)
			}
			return all
		}
	}
}

func (m *Manager) logUnreached(all []unreached) {
	if len(all) == 1 {
		all[0].r.Log.Warn("feed is not up to date; "+all[0].fallback, zap.String("why", all[0].why))
		return
	}
	var names []string
	for _, u := range all {
		names = append(names, u.r.Spec.Name)
	}
	m.log.Warn(fmt.Sprintf("%d feeds could not be fetched (no network?); they are tried again, see 'flowsnitch intel status'", len(all)),
		zap.Strings("feeds", names), zap.String("why", all[0].why))
}
