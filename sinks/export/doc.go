// Package export makes block lists for other programs: firewalls, routers, resolvers, mail
// servers, threat intelligence platforms. [Make] takes what is listed, piece by piece, keeps
// what passes the filter of [Options] and what may be blocked, merges prefixes, cuts the
// list to a size, and gives a [List], which a [Target] writes in the language of its program.
// Each target is a file here and a row of [Targets].
//
// Nothing is kept between calls, and no goroutine, file or connection is owned. Where the
// pieces come from is the caller's business: the table in force gives its own (see
// lookup.Table.Pieces). The names in listings are foreign text, so of them only letters,
// digits and a few signs that no target gives a meaning to are written.
//
// Called by the export command, and by cmd/internal/app on behalf of it.
package export
