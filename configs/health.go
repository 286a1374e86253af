package configs

import (
	"fmt"
	"time"
)

// Health says what an instance takes for sick when it judges itself.
type Health struct {
	// Silence is how long an exporter may say nothing at least. One that makes a habit of
	// longer pauses, three within a day, may be silent three times as long as in those.
	Silence time.Duration `yaml:"silence"`
	// FeedAge is how old a feed may be whose source has not confirmed it since, at most:
	// two of its intervals may be less.
	FeedAge time.Duration `yaml:"feed_age"`
}

// DefaultHealth gives limits for devices that export every minute and feeds of every
// day.
func DefaultHealth() Health { return Health{Silence: 90 * time.Second, FeedAge: 48 * time.Hour} }

// leastHealth is a limit that is not reached by chance: the instance judges itself every
// ten seconds.
const leastHealth = 10 * time.Second

// Validate tells which key is wrong and what is allowed.
func (h Health) Validate() error {
	if h.Silence < leastHealth {
		return fmt.Errorf("silence: %s is too short; allowed are %s and more", h.Silence, leastHealth)
	}
	if h.FeedAge < leastHealth {
		return fmt.Errorf("feed_age: %s is too short; allowed are %s and more", h.FeedAge, leastHealth)
	}
	return nil
}
