package configs

import (
	"fmt"
	"time"
)

// Health defines when the checks of an instance warn.
type Health struct {
	// Silence is how long an exporter may be silent at least. One that makes a habit of
	// longer pauses, three within a day, may be silent three times as long as in those.
	Silence time.Duration `yaml:"silence"`
	// FeedAge is how old a feed may be whose source has not confirmed it since, at most:
	// two of its intervals may be less.
	FeedAge time.Duration `yaml:"feed_age"`
	// Transit is how many percent of the flows of an hour may have no end in the home
	// networks; 100 = all, as of a carrier.
	Transit float64 `yaml:"transit"`
}

// DefaultHealth gives limits for devices that export every minute and feeds of every
// day.
func DefaultHealth() Health {
	return Health{Silence: 90 * time.Second, FeedAge: 48 * time.Hour, Transit: 30}
}

// leastHealth is a limit that is not reached by chance: the instance judges itself every
// ten seconds.
const leastHealth = 10 * time.Second

// Validate reports which key is wrong and what is allowed.
func (h Health) Validate() error {
	if h.Silence < leastHealth {
		return fmt.Errorf("silence: %s is too short; allowed are %s and more", h.Silence, leastHealth)
	}
	if h.FeedAge < leastHealth {
		return fmt.Errorf("feed_age: %s is too short; allowed are %s and more", h.FeedAge, leastHealth)
	}
	if h.Transit < 0 || h.Transit > 100 {
		return fmt.Errorf("transit: %g is outside 0 to 100", h.Transit)
	}
	return nil
}
