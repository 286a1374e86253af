// Package app builds a running flowsnitch out of its components: sockets, workers, feeds,
// the correlator, the journal, sinks and the control socket. It is the only package that
// knows all of them, and it owns their order: each starts after what it sends to, and stops
// before it. 'flowsnitch run' calls it; tests of the whole start it in their own process.
//
// parts.go has the contract of components and their list. A new one that brings everything
// itself is one line in plug.go; the others are wrapped here, a file for each, with the
// sections, the texts and the checks that it registers.
package app
