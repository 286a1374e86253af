// Package match has the taps that look at the addresses of flow records: [Matcher] finds
// those that are listed, [Asking] passes those that are not on to a lookup elsewhere
// (package dnsbl), and [Transit] samples whether flows have an end of ours. They run in the
// worker for every set of records, so nothing here allocates, locks or reads a clock.
//
// cmd/internal/app makes them for each worker. Hits go to the correlator's queue; the table
// in force is read from lookup.Store once for each datagram.
package match
