// Package forward sends copies of received datagrams to other collectors, with the
// exporter's address as their source where the system allows it. It owns the sending sockets
// and the counters of each target.
//
// A [Forwarder] belongs to the worker that calls Send, which never waits. On Linux a batch
// is one sendmmsg call for each target; elsewhere it is one call for each datagram, and the
// source address cannot be kept. cmd/internal/app makes one for each socket whose listener
// has `forward`.
package forward
