// Package decode reads NetFlow v5 (Cisco), NetFlow v9 (RFC 3954), IPFIX over UDP
// (RFC 7011, 7012, 5103, 8158) and sFlow v5 (sflow.org).
//
// A [Decoder] belongs to one worker. It walks a datagram and hands every set of
// data records to a [Handler] in one call: a [Set] carries the addresses of all
// its records as plain columns of numbers, so that they can be matched at once,
// and builds the full [flow.Record] only for those that somebody asks for.
//
// To get there quickly a template is compiled once, when it arrives, into a plan
// that states where each field that is read stands (package template). Templates, samplers
// (package sampling) and sequence numbers (package sequence) of all exporters live in
// [Exporters], which all workers share; it is capped in every direction and forgets what
// has been silent for long. One lock per exporter is taken once per datagram, never per
// flow, and is free again before the handler is called.
//
// A datagram goes through decoder.go, the file of its protocol, and set.go: Decode finds
// and locks the exporter; v5, netflow or sflow enter its stream, add runs of records to the
// set, and leave with the sequence number; handOver reads the columns and calls the handler.
//
// The package is larger than others: what the exporters' files keep (exporters, templates,
// early, split, standing, persist) is read and changed by every datagram under that one
// lock, and would need two dozen exported names elsewhere.
//
// goflow2's decoders read template records only, behind a walk that has checked every
// count and length: they trust their input (a template without length makes them loop
// for ever, a count makes them allocate). Data is read here, options data too: a goflow2
// record takes 40 bytes for each field of its template, also for those of no length, so
// that one datagram could take gigabytes.
package decode
