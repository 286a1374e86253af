package ocsf

import "testing"

func TestConfidence(t *testing.T) {
	for score, want := range map[uint8]uint64{0: 0, 1: 1, 29: 1, 30: 2, 69: 2, 70: 3, 100: 3} {
		if got := confidence(score); got != want {
			t.Errorf("%d: got %d, want %d", score, got, want)
		}
	}
}
