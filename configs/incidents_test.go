package configs

import (
	"strings"
	"testing"
	"time"
)

func TestIncidents(t *testing.T) {
	if err := DefaultIncidents().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Incidents){
		"keep: 1h0m0s is not valid; use 24h0m0s to":         func(c *Incidents) { c.Keep = time.Hour },
		"keep_judged: 24h0m0s is not valid; use keep":       func(c *Incidents) { c.KeepJudged = 24 * time.Hour },
		"max: 99 is not valid":                              func(c *Incidents) { c.Max = 99 },
		"password_file: is for a database of PostgreSQL":    func(c *Incidents) { c.PasswordFile = "/x" },
		"database: must be a URL such as postgres://":       func(c *Incidents) { c.Database = "mysql://db/x" },
		"database: must not have a password in it; put it ": func(c *Incidents) { c.Database = "postgres://me:secret@db/x" },
	} {
		c := DefaultIncidents()
		change(&c)
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %v", err)
		}
	}
	c := DefaultIncidents()
	c.Database, c.PasswordFile = "postgres://me@db.example:5432/flowsnitch?sslmode=verify-full", "/etc/flowsnitch/db.pw"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	edge, err := LoadProfile("", "edge")
	if err != nil || edge.Incidents.Max != 100_000 || !edge.Incidents.Enabled || edge.Incidents.Keep != DefaultIncidents().Keep {
		t.Errorf("edge: %+v, %v", edge.Incidents, err)
	}
}
