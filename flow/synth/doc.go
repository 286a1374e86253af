// Package synth writes export datagrams: it is an exporter without a network behind it. An
// [Encoder] turns flows into valid NetFlow v5, NetFlow v9 (RFC 3954), IPFIX (RFC 7011) and
// sFlow v5 datagrams with consistent sequence numbers and clocks; package traffic
// invents the flows.
//
// Tests use it as the counterpart of the decoder, flowgen and the demo as their exporter,
// and the self-test for its datagrams. Its output is deliberately plain: always valid,
// complete and consistent. Tests that need hostile datagrams build them by hand.
package synth
