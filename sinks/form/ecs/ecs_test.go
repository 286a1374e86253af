package ecs

import "testing"

func TestConfidence(t *testing.T) {
	for score, want := range map[uint8]string{0: "Not Specified", 1: "Low", 29: "Low", 30: "Medium", 69: "Medium", 70: "High", 100: "High"} {
		if got := confidence(score); got != want {
			t.Errorf("%d: got %s, want %s", score, got, want)
		}
	}
}
