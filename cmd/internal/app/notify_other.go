//go:build !linux

package app

// monotonicUsec is for systemd alone.
func monotonicUsec() []string { return nil }
