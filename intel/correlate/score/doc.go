// Package score states how bad a contact is: as a number from 0 to 100, the best listing of
// the offender weighed by what has happened, and in one short line for people. [Bounds]
// estimate it from above by a single record, for the queue in front of the correlator.
package score
