package app

import (
	"errors"
	"fmt"

	"github.com/flowsnitch/flowsnitch/configs"
	"go.uber.org/zap"
)

// Reload reads the configuration and the lists again and opens the hit logs anew. If
// anything is wrong the old ones stay in force. What components can take up while they work
// changes at once, as feeds with all that belongs to them; the keys of everything else that
// has changed are named in the log, and wait for a restart.
//
// It may take as long as the disk and the end of a fetch take: callers must not wait for
// it where they are needed elsewhere. One reload runs at a time.
func (a *App) Reload() error {
	a.reloads.Lock()
	defer a.reloads.Unlock()
	if why := a.unready(); why != "" {
		return errors.New("reload: " + why)
	}
	defer a.background.work.begin("the reload")()
	defer a.manager.reloading()()
	for _, p := range a.parts {
		if r, ok := p.component.(reopener); ok {
			r.Reopen()
		}
	}
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
	if err := a.reconfigure(&cfg); err != nil {
		return err
	}
	a.latest = cfg
	return nil
}
