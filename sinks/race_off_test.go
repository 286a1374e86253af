//go:build !race

package sinks

// raceEnabled says that the race detector makes everything slow.
const raceEnabled = false
