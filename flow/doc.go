// Package flow has the words that every other package speaks: a [Datagram] that
// an exporter sent, the [Exporter] that sent it, and the flow [Record] found in
// it. It depends on the standard library alone.
//
// The packages below it turn datagrams into records: udp and capture are the
// sources of datagrams, decode reads them, synth writes them.
package flow
