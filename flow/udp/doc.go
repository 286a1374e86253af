// Package udp receives export datagrams: one or more sockets on an address, read
// in batches by the goroutine that also decodes them.
//
// A [Socket] belongs to one worker: it alone calls Read, and what Read hands out
// points into the socket's own buffers. Everything else (Stats, Drops, SetAllow,
// Drain, Close) may be called from anywhere at any time.
//
// Every datagram that reached the socket is accounted for, where the kernel counts
// its drops: sent = Datagrams + Refused + Unread + Drops (see [Stats]).
//
// On Linux a batch is one recvmmsg call without any allocation. Elsewhere a batch
// is one datagram, and several sockets on one address are refused.
package udp
