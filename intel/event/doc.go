// Package event defines what leaves the program: an [Event] is a hit, an update of a
// contact, an alert or a canary, complete in itself. It owns the values of its fields, too:
// kinds, directions, severities, the evidence of a rule, the numbers of a flow by which a canary is recognised, and
// the Community ID by which the records of other sensors are found.
//
// An event has two codecs, each for both directions: package compact for storage, [AppendJSON]
// and [ParseJSON] for people and other programs, one line. This program reads none of its
// lines: ParseJSON is for programs that read our lines. The correlator makes events, the
// journal keeps the compact code, and the sinks send JSON or one of the forms of package form.
// A new field goes into Event and both codecs; tests walk all fields.
package event
