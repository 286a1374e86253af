// Package dedup counts each flow once. The same flow may be reported by several exporters,
// or by one at ingress and at egress. A [Memory] remembers the latest flows with the sums
// of each of these observers, and of each number the largest sum counts: what a record adds
// to it is what the record adds to its contact.
//
// The creation, the updates and the end of one connection in NSEL are one flow, and so are
// records with running totals (octetTotalCount and the like) of one flow.
//
// The memory is bounded: by flows, by observers of all flows, and by flows with running
// totals. Of a flow that is forgotten the next duplicate counts again. It belongs to the
// goroutine of the correlator.
package dedup
