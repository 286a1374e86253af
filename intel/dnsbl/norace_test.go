//go:build !race

package dnsbl

const raceDetector = false
