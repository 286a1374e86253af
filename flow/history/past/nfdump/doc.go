// Package nfdump reads what nfdump prints of its files: -o csv of version 1.6 to 1.7.4, -o csv
// (also with fields of the user's choice) and csv-fast of later versions, -o json with one
// object on many lines, and ndjson with one on each line. A [Reader] finds out which it is by
// the content. It knows the ways in which versions differ: names of fields, protocols as
// numbers or words, milliseconds without leading zeros, ICMP types as a port, times that are
// not there.
//
// The input may be the output of several runs one after the other. Summaries are skipped. A
// row that cannot be read is counted and never taken in part; the first few are kept with
// line and reason for the operator ([Report]).
//
// nfdump prints times in the time zone in which it runs, without naming it, and counters
// after multiplication by the sampling rate.
package nfdump
