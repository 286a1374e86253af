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
// it: it must be notified when we are ready, and that we live. Where there is none,
// nothing is sent.
type manager struct {
	app *App // whose loops are watched
	log *zap.Logger
	off bool // there is none, or nobody shall know

	mu     sync.Mutex
	said   string // the latest STATUS
	failed bool   // the latest message did not get through
}

func newManager(a *App) *manager {
	m := &manager{app: a, log: a.log, off: !a.opts.Notify}
	if !m.off {
		a.background.every("the service manager", often, func(time.Time) { m.tell() })
	}
	return m
}

// Start begins to feed the watchdog of the manager once everything else has started.
func (m *manager) Start() error {
	if m.off {
		return nil
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("the service manager's watchdog is not fed", zap.Error(err))
	}
	if every > 0 {
		m.app.background.add(func(ctx context.Context) { m.watchdog(ctx, every/2) })
	}
	return nil
}

// Stop has been announced by App.Stop.
func (m *manager) Stop(context.Context) error { return nil }

// stopping announces the stop, before anything else ends.
func (m *manager) stopping() { m.send(daemon.SdNotifyStopping) }

// send sends assignments. That they do not get through is logged once: the manager
// acts on that by itself.
func (m *manager) send(lines ...string) {
	if m.off {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	if err != nil && !m.failed {
		m.log.Warn("cannot notify the service manager; it may restart the service", zap.Error(err))
	}
	m.failed = err != nil
}

// status shows the state in one line for people, when that has changed.
func (m *manager) status(text string) {
	m.mu.Lock()
	same := m.said == text
	m.said = text
	m.mu.Unlock()
	if !same {
		m.send("STATUS=" + text)
	}
}

// ready informs the manager that everything is there.
func (m *manager) ready() { m.send(daemon.SdNotifyReady, "STATUS="+m.summary()) }

// slowest is how long a loop may take for a turn at least, however impatient the
// watchdog: an idle one turns once a second.
const slowest = 3 * time.Second

// watchdog feeds the manager's watchdog for as long as every loop of the path turns.
// When one has stalled it stops, and the manager restarts us.
func (m *manager) watchdog(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	was := ""
	for {
		now := m.stalled(max(every, slowest))
		switch {
		case now == "":
			m.send(daemon.SdNotifyWatchdog)
		case was == "":
			m.log.Error("a loop has stalled; the service manager is left to restart us", zap.String("loop", now))
			m.status(now + " has stalled")
		}
		if now == "" && was != "" {
			m.log.Info("the loop turns again", zap.String("loop", was))
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
func (m *manager) stalled(limit time.Duration) string {
	if name := m.app.listeners.stalled(limit); name != "" {
		return name
	}
	if time.Since(m.app.contacts.loop.Beat()) > limit {
		return "the correlator"
	}
	return ""
}

// reloading informs the manager that a reload begins; what it returns, that it is over.
func (m *manager) reloading() func() {
	m.send(append(monotonicUsec(), daemon.SdNotifyReloading)...)
	return func() { m.send(daemon.SdNotifyReady) }
}

// tell brings the manager's line for people up to date.
func (m *manager) tell() {
	if m.stalled(slowest) == "" {
		m.status(m.summary())
	}
}

// summary is the state in one line.
func (m *manager) summary() string {
	return fmt.Sprintf("collecting on %d addresses; %d exporters, %d indicators",
		len(m.app.listeners.list), m.app.decoder.exporters.Stats().Exporters, m.app.store.Load().Len())
}
