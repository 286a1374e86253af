// Package lookup decides what of the feeds is listed and what that means for a flow. A
// [Builder] takes the indicators of all feeds, refuses those that the guards of a [Policy]
// stop, and makes a [Table], which never changes; a [Store] holds the table in force; a
// [Match] is what a table has of one address, and a [Hit] a flow record with a listed
// address in it. Package fetch builds tables, package match asks them for the addresses of
// every flow, package correlate turns hits into events.
//
// The listings themselves are kept by package listings, and most addresses are turned away
// by package prefilter before any of this is asked.
package lookup
