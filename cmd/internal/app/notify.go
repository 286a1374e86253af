package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// A manager is the service manager that has started us, as sd_notify(3) describes
// it: it wants to know when we are ready, and that we live. Where there is none,
// nothing is sent.
type manager struct {
	log *zap.Logger

	mu     sync.Mutex
	said   string // the latest STATUS
	failed bool   // the latest message did not get through
}

// send sends assignments. That they do not get through is said once: the manager
// acts on that by itself.
func (m *manager) send(lines ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	if err != nil && !m.failed {
		m.log.Warn("cannot notify the service manager; it may restart the service", zap.Error(err))
	}
	m.failed = err != nil
}

// status tells people in one line how it goes, when that has changed.
func (m *manager) status(text string) {
	m.mu.Lock()
	same := m.said == text
	m.said = text
	m.mu.Unlock()
	if !same {
		m.send("STATUS=" + text)
	}
}

// tellReady tells the manager that everything is there, and begins to feed its
// watchdog.
func (a *App) tellReady(ctx context.Context) {
	if a.manager == nil {
		return
	}
	a.manager.send(daemon.SdNotifyReady, "STATUS="+a.health())
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		a.log.Warn("the service manager's watchdog is not fed", zap.Error(err))
	}
	if every > 0 {
		a.chores.Go(func() { a.watchdog(ctx, every/2) })
	}
}

// slowest is how long a loop may take for a turn at least, however impatient the
// watchdog: an idle one turns once a second.
const slowest = 3 * time.Second

// watchdog feeds the manager's watchdog for as long as every loop of the path turns.
// When one has stalled it stops, and the manager restarts us.
func (a *App) watchdog(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	was := ""
	for {
		now := a.stalled(max(every, slowest))
		switch {
		case now == "":
			a.manager.send(daemon.SdNotifyWatchdog)
		case was == "":
			a.log.Error("a loop has stalled; the service manager is left to restart us", zap.String("loop", now))
			a.manager.status(now + " has stalled")
		}
		if now == "" && was != "" {
			a.log.Info("the loop turns again", zap.String("loop", was))
		}
		was = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stalled names a loop of the path that has not turned for longer than limit.
func (a *App) stalled(limit time.Duration) string {
	for _, l := range a.listeners {
		for i, w := range l.workers {
			if time.Since(w.Beat()) > limit {
				return fmt.Sprintf("worker %d of udp %s", i+1, l.sockets[i].LocalAddr())
			}
		}
	}
	if time.Since(a.loop.Beat()) > limit {
		return "the correlator"
	}
	return ""
}

// reloading tells the manager that a reload begins; what it returns, that it is over.
func (a *App) reloading() func() {
	if a.manager == nil {
		return func() {}
	}
	a.manager.send(append(monotonicUsec(), daemon.SdNotifyReloading)...)
	return func() { a.manager.send(daemon.SdNotifyReady) }
}

// tellManager brings the manager's line for people up to date.
func (a *App) tellManager() {
	if a.manager != nil && a.stalled(slowest) == "" {
		a.manager.status(a.health())
	}
}

// health says in one line what is going on.
func (a *App) health() string {
	return fmt.Sprintf("collecting on %d addresses; %d exporters, %d indicators",
		len(a.listeners), a.exporters.Stats().Exporters, a.store.Load().Len())
}
