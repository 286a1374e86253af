//go:build !integration && !soak

// Package debian makes clean Debian roots for tests.
package debian
