// Package intel defines the terms of threat intelligence that other packages share: an
// [Indicator] is one prefix as one feed lists it, [Networks] and [Warninglist] are sets of
// prefixes that change what a listing means, [Embedding] finds the IPv4 address that an IPv6
// address carries, and [SpecialPurpose] is the address space that no feed may list.
// Everything here is a value that does not change once it is made; the package owns no
// goroutine and no file.
//
// Package feeds makes indicators of documents, package lookup compiles them into the table
// that flows are matched with, and package event has what is published about a match.
package intel
