// Package hits makes observations of events. Hits and updates carry the totals of their
// contact; a rule counts what is new. [Hits] therefore remembers the totals of each contact, in
// a table that has a bound and can be saved.
//
// What it leaves out is counted: alerts, canaries, hits found in the past, silenced ones, and
// those of offenders that are a false alarm.
package hits
