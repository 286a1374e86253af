package app

import "go.uber.org/zap"

// A trouble is a chore that may fail every few seconds. It is logged when that begins and
// when it ends.
type trouble struct {
	log    *zap.Logger
	begins string // with what follows from it
	ends   string
	failed bool
}

// tell takes the outcome of the chore.
func (t *trouble) tell(err error) {
	switch {
	case err != nil && !t.failed:
		t.log.Warn(t.begins, zap.Error(err))
	case err == nil && t.failed:
		t.log.Info(t.ends)
	}
	t.failed = err != nil
}
