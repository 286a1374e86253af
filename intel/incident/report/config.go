package report

import (
	"errors"
	"fmt"
	netmail "net/mail"
)

// Config is when reports are sent by mail, and to whom.
type Config struct {
	// Every is when a report is due, see ParseSchedule; empty = never.
	Every string `yaml:"every"`
	// To are the addresses that get it.
	To []string `yaml:"to"`
	// Sink is the name of the webhook sink of kind mail whose server is used; empty = the
	// first one.
	Sink string `yaml:"sink"`
	// MaxTLP is the most restricted label of the Traffic Light Protocol that reports show,
	// unless a command names another one.
	MaxTLP string `yaml:"max_tlp"`
}

// DefaultConfig gives the defaults: nothing is sent.
func DefaultConfig() Config { return Config{MaxTLP: DefaultTLP} }

// Validate reports which key is wrong and what is allowed.
func (c Config) Validate() error {
	s, err := ParseSchedule(c.Every)
	switch {
	case err != nil:
		return fmt.Errorf("every: %w", err)
	case !s.Never() && len(c.To) == 0:
		return errors.New("to: is missing; name the addresses that get the report")
	}
	for _, a := range c.To {
		if p, err := netmail.ParseAddress(a); err != nil || p.Address != a {
			return fmt.Errorf("to: %q is not an address; use name@host", a)
		}
	}
	if err := validTLP(c.MaxTLP); err != nil {
		return fmt.Errorf("max_tlp: %w", err)
	}
	return nil
}
