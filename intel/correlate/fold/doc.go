// Package fold keeps scans from making an event of every port and host. Of the contacts of
// one offender that nothing has answered, 8 service ports of each of 32 hosts stand alone;
// all flows beyond them join one folded contact, which counts ports and hosts, exactly up
// to 1,000, and names a port or a host only while there is no other. So does what all
// offenders of a listed prefix send while that prefix is rolled up, see [Memory.RollUp]. A
// flow that by itself is an answer, or that belongs to a contact that our end opened, never
// joins: it makes a contact of its own, and an event at once.
//
// The package has the rules and what they need to remember: a [Memory] for all, an [Alone]
// for each offender, a [Fold] for each folded contact. The correlator has the contacts, and
// calls it for each hit.
package fold
