// Package silence has what shall be quiet until when, by the operator's word: silences, which
// mark the events that they fit, and entries of the allowlist that end. Each has an author, a
// reason and an end. It owns both lists, in memory and in a file of the state directory, and
// the stamp on events; sinks leave out what is stamped, incidents count it.
package silence
