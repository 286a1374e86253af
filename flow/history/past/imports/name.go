package imports

import (
	"errors"
	"fmt"
	"regexp"
)

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckName reports why an import cannot have a name.
func CheckName(name string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("name %q: use 1 to 64 of a-z, 0-9, dot, hyphen and underscore, with a letter or digit first", name)
	}
	return nil
}

// Errors of imports.
var (
	ErrExists = errors.New("there is an import of this name already: add to it with --append, remove it, or choose another name")
	ErrNone   = errors.New("there is no import of this name")
	ErrBusy   = errors.New("another import, or a command that changes one, is running")
)
