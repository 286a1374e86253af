// Package intel knows what is listed and what follows from it: an [Indicator] is
// one prefix as one feed lists it, a [Table] all of them compiled for lookup, a
// [Store] the table in force. A [Hit] is a flow record with a listed address in
// it; package event has what is published about it.
package intel
