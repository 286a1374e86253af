// Package wires pulls one wire after another out of the real binary with its default
// limits: an exporter stops, a template gets lost, the provider of a feed goes away, a
// broker goes down, the disk is full. Within two minutes 'flowsnitch check', /readyz,
// /metrics and the log must name the cause, and no other; when the wire is back in, all
// must turn well by itself. (A clock that jumps is in deploy/integration/clock, a worker
// that stalls in cmd/internal/app.)
//
// The tests are behind the build tag integration. They wait for most of their four
// minutes.
package wires
