//go:build !race

package journal

// raceEnabled says that the race detector makes everything slow.
const raceEnabled = false
