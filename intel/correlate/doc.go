// Package correlate turns hits into events. The [Correlator] is the single owner of the
// contacts: it rolls hits up, judges them and publishes what has changed as events.
// Package queue runs it behind a bounded queue, so that no worker ever waits for it.
//
// A contact is offender, local address, protocol and service port; both directions
// of a conversation are one contact. What its flows show is the matter of package
// conversation, and that none of them counts twice that of package dedup. Here are the
// table of contacts with its bounds, the folding of scans, scores and events.
//
// # What folds
//
// Of the inbound contacts of one offender that nothing has answered, 8 service ports of
// each of 32 hosts stand alone. All flows beyond them join one folded contact, which
// counts ports and hosts, exactly up to 1,000, and names a port or a host only while
// there is no other. So does what all offenders of a listed prefix send us while that
// prefix is rolled up, see [Correlator.RollUp]. A flow that by itself is an answer, or
// that belongs to a contact we opened, never joins: it makes a contact of its own, and an
// event at once.
//
// # When something is said
//
// The first hit of a contact is an event at once, and so is an answer or a higher
// severity than was told before. Other news (counts, exporters, score) waits for the
// next update: one minute, five minutes, one hour after the first hit and every hour
// from then on. A contact without news says nothing, not even when it ends or has to
// make room; that time has passed, which turns "answered" from unknown to no, is no
// news.
//
// # What gives way
//
// Contacts are held up to a cap. When it is reached the least severe make room, by the
// highest severity that their events had; each is counted by it.
package correlate
