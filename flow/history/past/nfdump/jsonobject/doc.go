// Package jsonobject reads one flow of the JSON that nfdump prints: where its object ends, which
// may be on the same line or many lines later, and its members. It allocates nothing and knows
// only as much of JSON as nfdump uses; members that are objects themselves are skipped.
package jsonobject
