// Package flow defines the types that all other packages share: a [Datagram] is one UDP
// payload from an exporter, an [Exporter] is the device and stream that it came from, and a
// [Record] is one flow found in it. The package owns no state and imports the standard
// library alone, so that every package may use it.
//
// Data passes through the folders below it in this order: udp and capture deliver datagrams,
// decode turns them into records, collect runs both in one worker for each socket; synth
// writes datagrams for tests, load and the demo. A new property of a flow begins as a field
// of Record; the decoder fills it, and package event carries it to the sinks.
package flow
