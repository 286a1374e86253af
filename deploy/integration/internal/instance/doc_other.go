//go:build !linux || !(integration || soak)

// Package instance builds and runs the real binary for integration tests: it writes the
// configuration, starts, signals and stops the process, asks its control socket, sends it
// flows, and accounts for every event that comes out. Imported by tests alone.
package instance
