package app

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestTrouble: a full disk is told once, not every five seconds, and so is its end.
func TestTrouble(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	full := errors.New("no space left on device")
	tr := trouble{log: zap.New(core), begins: "not saved", ends: "saved again"}
	for _, err := range []error{nil, full, full, full, nil, nil, full} {
		tr.tell(err)
	}
	var said []string
	for _, e := range logs.All() {
		said = append(said, e.Message)
	}
	if want := []string{"not saved", "saved again", "not saved"}; !slices.Equal(said, want) {
		t.Errorf("logged %q, want %q", said, want)
	}
}
