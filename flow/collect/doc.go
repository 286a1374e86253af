// Package collect runs the path of flow records: a [Worker] owns a source of datagrams,
// usually a UDP socket, decodes each datagram and hands its sets of records to the taps. It
// owns the goroutine and the list of taps, and nothing that outlives a batch.
//
// cmd/internal/app makes one worker for each socket. A new consumer of all flows is a tap:
// see "How to add" in CONTRIBUTING.md.
package collect
