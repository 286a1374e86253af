// Package export makes block lists of what is listed. [Make] takes it piece by piece, keeps
// what passes the choice of the operator and what may be blocked, merges prefixes, cuts the
// list to a size, and gives a [List], with a report of what was left out. The languages of
// the programs that take such a list are the targets below this folder.
//
// Nothing is kept between calls, and no goroutine, file or connection is owned. Where the
// pieces come from is the caller's business: the table in force gives its own (see
// lookup.Table.Pieces). The names in listings are foreign text, so of them only letters,
// digits and a few signs that no target gives a meaning to are given to the targets.
//
// Called by the export command, and by cmd/internal/app on behalf of it.
package export
