// Package app builds a running flowsnitch out of its components: sockets, workers, feeds,
// the correlator, the journal, sinks and the control socket. It is the only package that
// knows all of them, and it owns their order: each starts after what it sends to, and stops
// before it. 'flowsnitch run' calls it; tests of the whole start it in their own process.
//
// A new component is made here, registers what it shows with flow/observe, and is added to
// the start and stop order.
package app
