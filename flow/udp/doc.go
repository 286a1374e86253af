// Package udp receives export datagrams: one or more sockets on an address, read
// in batches by the goroutine that also decodes them, and copied onward to other
// collectors where that is asked for.
//
// A [Socket] belongs to one worker: it alone calls Read, and what Read hands out
// points into the socket's own buffers. Everything else (Stats, Drops, SetAllow,
// Drain, Close) may be called from anywhere at any time. A [Forwarder] likewise
// belongs to the worker that calls Send.
//
// Every datagram that reached the socket is accounted for, where the kernel tells
// its drops: sent = Datagrams + Refused + Unread + Drops (see [Stats]).
//
// On Linux a batch is one recvmmsg call without any allocation. Elsewhere a batch
// is one datagram, several sockets on one address are refused, and a forwarder
// cannot keep the source address.
package udp
