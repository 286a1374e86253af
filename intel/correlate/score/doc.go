// Package score states how bad a contact is: as a number from 0 to 100, the best listing of
// the offender weighed by what has happened, and in one short line for people. [Bounds]
// estimate it by a single record, for the queue in front of the correlator: never below the
// first event that this record alone would make; a later one may make the contact worse.
package score
