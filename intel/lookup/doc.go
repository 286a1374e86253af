// Package lookup compiles listed prefixes for matching: a [Builder] collects the
// indicators of all feeds under a [Policy] and makes a [Table], which never changes; a
// [Store] holds the table in force; a [Match] is what a table has of one address, and a
// [Hit] a flow record with a listed address in it.
//
// Most addresses are decided by filters of a few bits, without the trie. A table that
// differs little from the one before shares its memory and is made in milliseconds, see
// [NewBuilderFrom].
package lookup
