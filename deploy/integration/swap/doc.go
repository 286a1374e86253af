// Package swap proves that a set is replaced by another under full load without losing a
// datagram or a hit, and what memory that takes: the real binary, a set that changes
// again and again, and the generator at a steady rate. The hits are counted from the
// generator's own flows.
//
// The tests are behind the build tags integration (few and small) and soak (the full
// figures).
package swap
