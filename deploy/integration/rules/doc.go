// Package rules proves that correlation rules raise what the hits show, and nothing else, however
// often the process is killed: the real binary, hits in small numbers, and an oracle that counts
// the lines of the hit log.
//
// The tests are behind the build tags integration (few rounds) and soak (the full count).
package rules
