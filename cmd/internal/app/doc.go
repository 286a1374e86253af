// Package app puts a flowsnitch together: sockets, workers, the correlator, sinks
// and the control socket. It is the only place that knows all of them.
package app
