// Package fetch keeps the feeds fresh and honest. It gets each feed from where it
// is published (HTTP, files, drop directories, OTX, TAXII, MISP), as seldom and as
// politely as its provider asks, keeps the last good copy on disk, holds back a copy
// that cannot be right, and publishes a table of all feeds whenever one of them has
// changed.
//
// It is apart from package feeds because it has a life of its own, goroutines, a
// folder of state and a network, while the parsers are functions from bytes to
// entries.
//
// Two rules decide wherever there is a choice. What goes wrong with fetching never
// changes the set in force. And no request leaves before the disk knows of it: a
// process that crashes and restarts all day asks no provider more often than one
// that runs.
package fetch
