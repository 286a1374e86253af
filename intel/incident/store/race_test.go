//go:build race

package store

// raceDetector is set where SQLite, which is C made into Go, takes twenty times as long.
const raceDetector = true
