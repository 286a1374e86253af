//go:build !integration && !soak

// Package debian makes clean Debian root file systems for integration tests: Archive returns
// a tar file with the packages asked for, made once by mmdebstrap and kept between runs.
// Imported by tests alone.
package debian
