// Package forward copies received datagrams onward to other collectors, with the
// exporter's address as their source where the system allows it.
//
// A [Forwarder] belongs to the worker that calls Send, which never waits. On Linux a
// batch is one sendmmsg call for each target; elsewhere it is one call for each datagram,
// and the source address cannot be kept.
package forward
