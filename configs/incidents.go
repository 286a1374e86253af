package configs

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Incidents is what is kept of offenders, and where.
type Incidents struct {
	Enabled bool `yaml:"enabled"`
	// Keep is how long an incident is kept after its offender was last seen; KeepJudged
	// likewise where somebody has taken it or marked it as a false alarm.
	Keep       time.Duration `yaml:"keep"`
	KeepJudged time.Duration `yaml:"keep_judged"`
	// Max is how many incidents are kept at most: the least severe that have been silent
	// the longest make room.
	Max int `yaml:"max"`
	// Database is the URL of a PostgreSQL database, without a password; empty = a file of
	// SQLite in the state directory.
	Database     string `yaml:"database"`
	PasswordFile string `yaml:"password_file"`
}

// DefaultIncidents gives the defaults.
func DefaultIncidents() Incidents {
	return Incidents{Enabled: true, Keep: 365 * 24 * time.Hour, KeepJudged: 2 * 365 * 24 * time.Hour, Max: 1_000_000}
}

// What makes sense.
const (
	minKeepIncidents = 24 * time.Hour
	maxKeepIncidents = 50 * 365 * 24 * time.Hour
	maxIncidents     = 100_000_000
)

// Validate reports which key is wrong and what is allowed.
func (c Incidents) Validate() error {
	switch {
	case c.Keep < minKeepIncidents || c.Keep > maxKeepIncidents:
		return fmt.Errorf("keep: %s is not valid; use %s to %s", c.Keep, minKeepIncidents, maxKeepIncidents)
	case c.KeepJudged < c.Keep || c.KeepJudged > maxKeepIncidents:
		return fmt.Errorf("keep_judged: %s is not valid; use keep (%s) to %s", c.KeepJudged, c.Keep, maxKeepIncidents)
	case c.Max < 100 || c.Max > maxIncidents:
		return fmt.Errorf("max: %d is not valid; use 100 to %d", c.Max, maxIncidents)
	}
	if c.Database == "" {
		if c.PasswordFile != "" {
			return errors.New("password_file: is for a database of PostgreSQL; set database, or leave it out")
		}
		return nil
	}
	u, err := url.Parse(c.Database)
	switch {
	case err != nil, u.Scheme != "postgres" && u.Scheme != "postgresql":
		return errors.New("database: must be a URL such as postgres://flowsnitch@db.example:5432/flowsnitch, or empty for a file in the state directory")
	case u.User != nil && hasPassword(u.User):
		return errors.New("database: must not have a password in it; put it in a file and name that in password_file")
	}
	return nil
}

func hasPassword(u *url.Userinfo) bool {
	_, has := u.Password()
	return has
}
