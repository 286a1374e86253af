// Package choice has what can be chosen about a block list: which listings are in it, how
// many prefixes, how far it may be shared by the Traffic Light Protocol, and what its sets
// are called; with the bounds, and as parameters of a request to the running instance.
//
// Called by the export command, cmd/internal/app and sinks/export.
package choice
