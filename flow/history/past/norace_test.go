//go:build !race

package past

const raceDetector = false
