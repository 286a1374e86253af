//go:build race

package intel

const raceDetector = true
