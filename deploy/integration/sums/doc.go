// Package sums proves that nothing is lost in silence: real exporters' datagrams, of
// which the test knows every one, go over loopback to the real program, and what it has
// counted at the end must add up to what was sent, to the last datagram and flow.
//
//   - In datagrams: sent = received + dropped by the kernel + refused.
//   - In flows: sent = decoded + lost, where the sequence numbers show what was lost.
//     Those of v9 and sFlow count datagrams, which here all carry the same number of
//     flows.
//
// That holds on a calm day, with a receive buffer far too small, while the process
// stands still, with several sockets, and across restarts. Sequence numbers cannot show
// of a loss after the last datagram that came, so every run ends with a trickle that
// none of the losses reaches.
//
// The tests are behind the build tags integration (small counts) and soak (the full
// figures, and those runs that take minutes). They need Linux and loopback, no root.
package sums
