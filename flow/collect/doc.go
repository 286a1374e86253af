// Package collect runs the path of flow records: a [Worker] owns a source, mostly a UDP
// socket, decodes what it reads and hands each set of records to its taps. The listeners of
// cmd/internal/app make the workers and choose the taps.
//
// # Taps
//
// A tap sees every set, so it costs something for each flow, listed or not. The matcher, the
// sample of transit and the asker of DNS lists (package match) and the counters of all
// traffic (package traffic) are taps, and so are the recorders of the history (package recorder). The watch for entries that match too much (package
// storm) is none: it needs the hits of each entry, which have left the sets by then and are
// tallied by the correlator, and the number of all records, which the decoder counts.
//
// A tap asks the set for the columns that it needs; a column that no tap asks for is not
// read, and one that several ask for is read once.
//
// # Locks
//
// No lock of an exporter is held while a tap works: the decoder hands a set over after it has
// released it (a test in flow/decode holds that), and takes it again in Set.Record for as
// long as it takes to look up the sampling rate. A tap that takes its time keeps nothing
// waiting but its own socket; the taps of one worker share nothing with those of another
// unless they say so.
package collect
