// Package intel proves the feeds on the real binary: a server that misbehaves, a process
// that is killed at any moment, keys that must not show, and a start without network.
//
// The tests are behind the build tag integration.
package intel
