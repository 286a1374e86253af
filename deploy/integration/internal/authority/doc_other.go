//go:build !integration && !soak

// Package authority signs certificates for the servers of tests.
package authority
