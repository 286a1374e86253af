package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs"
	"go.uber.org/zap"
)

// Reload reads the configuration and the lists again and opens the hit logs anew. If
// anything is wrong the old ones stay in force. Feeds with all that belongs to them, allow
// lists of listeners and the exporters that always find room change at once; the keys of
// everything else that has changed are named in the log, and wait for a restart.
//
// It may take as long as the disk and the end of a fetch take: callers must not wait for
// it where they are needed elsewhere. One reload runs at a time.
func (a *App) Reload() error {
	a.reloads.Lock()
	defer a.reloads.Unlock()
	if why := a.unready(); why != "" {
		return errors.New("reload: " + why)
	}
	defer a.work.begin("the reload")()
	defer a.reloading()()
	a.sinks.reopen(a.log)
	cfg := a.latest
	if a.opts.ConfigFile != "" {
		var err error
		if cfg, err = configs.LoadProfile(a.opts.ConfigFile, a.opts.Profile); err != nil {
			return fmt.Errorf("reload: %w; the old configuration stays in force", err)
		}
		if err := a.latest.CutOff(&cfg); err != nil {
			return fmt.Errorf("reload: %s: %w; the old configuration stays in force", a.opts.ConfigFile, err)
		}
		if gone := a.latest.Gone(&cfg); len(gone) > 0 {
			a.log.Warn("the configuration has these keys no more, so their defaults hold; was the file cut off?", zap.Strings("keys", gone))
		}
	}
	if err := a.feeds.reload(&cfg, &a.opts); err != nil {
		return fmt.Errorf("reload: %w; the old set stays in force", err)
	}
	if keys := a.needRestart(&cfg); len(keys) > 0 {
		a.log.Warn("changes of these keys take effect after a restart", zap.Strings("keys", keys))
	}
	a.nameExporters(cfg.Exporters)
	for i, l := range a.listeners {
		if a.keepsAddress(&cfg, i) {
			l.allow(allowed(cfg.Listen[i].Allow, cfg.AllHome()))
		}
	}
	a.warnExposed(&cfg)
	a.latest = cfg
	return nil
}

// keepsAddress reports whether a listener has the same place and address in a new
// configuration.
func (a *App) keepsAddress(cfg *configs.Config, i int) bool {
	return i < len(cfg.Listen) && cfg.Listen[i].Listen == a.cfg.Listen[i].Listen
}

// needRestart names the keys that differ from those of the start and that a running
// instance cannot take up: all but those that Reload applies.
func (a *App) needRestart(cfg *configs.Config) []string {
	return slices.DeleteFunc(configs.Changed(&a.cfg, cfg), func(key string) bool {
		for i := range a.cfg.Listen {
			if key == fmt.Sprintf("listen[%d].allow", i) && a.keepsAddress(cfg, i) {
				return true
			}
		}
		return strings.HasPrefix(key, "intel.")
	})
}

// unready says why requests and reloads cannot be met now; empty = they can.
func (a *App) unready() string {
	switch {
	case a.stopping.Load():
		return "flowsnitch is stopping"
	case !a.ready.Load():
		return "flowsnitch is starting (" + a.Starting() + "); try again in a moment"
	}
	return ""
}
