// Package compact is the code of an event in few bytes, for the journal: [Append] writes it
// without allocating, [Decode] reads it, also in what later versions have written.
package compact
