// Package intel has the words of threat intelligence: an [Indicator] is one prefix as one
// feed lists it, [Networks] and [Warninglist] are sets of prefixes that change what a
// listing means, [Embedding] finds the IPv4 address that an IPv6 address carries, and
// [SpecialPurpose] the address space in which nobody can be listed. Package lookup
// compiles indicators into the table that flows are matched with, package event has
// what is published about a match.
package intel
