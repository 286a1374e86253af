// Package event has what leaves the program: an [Event] is a hit, an update of a
// contact, an alert or a canary, complete in itself. It has the words for it, too:
// kinds, directions, severities, the canary in the numbers of a flow, and the Community
// ID by which the records of other sensors are found.
//
// An event has two codes: [AppendBinary] for storage, [AppendJSON] for people and other
// programs, one line.
package event
