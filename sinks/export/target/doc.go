// Package target has the languages of the programs that take block lists: firewalls,
// routers, resolvers, mail servers, threat intelligence platforms. Each [Target] is a file
// here and a name in [All]: what a row of it can express, and how it is written. What is in
// a list is decided by package export; the names in it are foreign text, of which only what
// [row.Row.Reason] gives is written.
//
// Called by the export command, and by cmd/internal/app on behalf of it.
package target
