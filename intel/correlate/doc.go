// Package correlate turns hits into events. The [Correlator] is the single owner of the
// contacts: it rolls hits up, judges them and publishes what has changed as events.
// Package queue runs it behind a bounded queue, so that no worker ever waits for it.
//
// # What a contact knows
//
// A contact is offender, local address, protocol and service port; both directions
// of a conversation are one contact. Who opened it decides its direction, and is
// known, in this order:
//
//   - from the record: a biflow (RFC 5103) and NSEL name the initiator as source, and a
//     TCP flow with SYN but without ACK comes from the initiator (RFC 9293);
//   - from the service port, when one end uses it and the other a port that
//     clients use: the other end is the initiator;
//   - else nothing is known, and the sender of the first flow is taken for it.
//
// What is known replaces what was taken for granted, and once our own end is known to
// have opened the contact it stays so: neither an answer nor a scan of the same port can
// turn an outbound contact into an inbound one. Thus a flow whose source is the
// offender makes an inbound contact unless it is the answer to ours, and the answers
// of our servers to a scanner do not make an outbound one.
//
// A contact is answered when flows of both directions were seen, when a record has
// counters of the way back, when a flow comes from the responder, or when the
// offender has sent a TCP ACK. What was blocked is no answer, and neither is a refusal:
// a flow with no TCP flags but RST or RST and ACK, the way back of a biflow with only
// these, or an ICMP unreachable. A contact with refusals alone is refused.
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
// # What is counted
//
// The same flow may be reported by several exporters, or by one at ingress and at
// egress. Each of these observers has its own sums for every flow (the two ports of
// a contact), and of each number the largest sum counts. NSEL tells of the creation,
// of updates and of the end of one connection: they are one flow.
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
