// Package fetch keeps all feeds up to date. Its Manager starts and stops a runner for each
// feed (package runner: when the source is asked, which copy is in use), fetches by hand,
// and publishes a table of all copies in use whenever one of them has changed, together
// with the operator's own prefixes and the warninglists. It also holds the quarantine of
// entries that match too much. The program makes one Manager per configuration.
//
// It is apart from package feeds because it has a life of its own, goroutines, a folder of
// state and a network, while the parsers are functions from bytes to entries.
//
// Two rules decide wherever there is a choice. What goes wrong with fetching never
// changes the set in force. And no request leaves before the disk knows of it: a
// process that crashes and restarts all day asks no provider more often than one
// that runs.
package fetch
