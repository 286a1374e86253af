// Package synth writes export datagrams: it is an exporter without a network
// behind it. An [Encoder] turns flows into valid NetFlow v5, NetFlow v9 (RFC
// 3954), IPFIX (RFC 7011) and sFlow v5 datagrams with sequence numbers and clocks
// that hold together; a [Source] thinks up the flows.
//
// Tests use it as the counterpart of the decoder, the load generator and the demo
// as their exporter. What it writes is deliberately plain: it never lies, cuts
// short or leaves out. Hostile datagrams are made by hand where they are needed.
package synth
