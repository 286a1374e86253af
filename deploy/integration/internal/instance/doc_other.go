//go:build !linux || !(integration || soak)

// Package instance runs the real binary for tests of the whole.
package instance
