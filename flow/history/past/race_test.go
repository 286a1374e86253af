//go:build race

package past

const raceDetector = true
