// Package recorder is the tap of the contact history: it turns the flows of one worker into
// contacts, and adds them up in the worker's table. A [Pool] is what the recorders of all
// workers share; it hands their tables over to whoever writes them.
//
// Records of a set pass through three steps. Its columns show for each flow which ends are
// ours (package home), who opened it, on what port, and whether it was answered (package
// initiator): as the correlator sees a hit, but by that one record, without the memory of
// earlier ones (take.go). What is to be kept goes into a pile of 128 flows (pile.go). A full pile, or what there is of it when all
// datagrams of a read have been decoded, goes into the table (recorder.go).
//
// # What is kept
//
// A flow with one end of ours is a row. Flows between two ends of ours are counted as
// internal, those with an excluded end as excluded, those that lack the source or the
// destination address as such. A flow without an end of ours, in transit, has a row for
// each end. Where a record has further pairs of ends, as those within a tunnel, each pair that is a contact has a row; the first one
// counts as the flow. Of a translation the row has the source before and the destination after it.
//
// Who opened a contact is unknown where neither the record nor its ports show it, rather
// than taken from the order of flows, so that both directions are one row.
//
// Counters are multiplied by the sampling rate. Those that are running totals of a flow
// (octetTotalCount and packetTotalCount, elements 85 and 86) are added each time that they
// are exported: to take the difference, as the correlator does for hits, would need a memory
// of all flows. Most exporters that send them do so once, at the end of a flow; of others
// the packets and bytes of a contact are an upper bound.
//
// # The path
//
// Per flow there is no allocation, lock or clock; per set one atomic load. Nothing waits: a
// table that cannot be handed over goes on being filled, and when it is full, loses contacts
// in the order that package table describes.
package recorder
