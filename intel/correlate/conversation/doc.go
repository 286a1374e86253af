// Package conversation knows what flows show of one conversation between an offender and
// a local end. A hit is read into a [Sight]: who is at which end, who opened it, what it
// counts, whether it was blocked or refused. A [Conversation] takes in one sight after the
// other and fills its part of an event. The correlator holds a conversation in each of its
// contacts; nothing here has a clock, a lock or a table.
//
// # Who opened it
//
// Who opened a conversation decides its direction, and is known, in this order:
//
//   - from the record: a biflow (RFC 5103) and NSEL name the initiator as source, and a
//     TCP flow with SYN but without ACK comes from the initiator (RFC 9293);
//   - from the service port, when one end uses it and the other a port that
//     clients use: the other end is the initiator;
//   - else nothing is known, and the sender of the first flow is taken for it.
//
// What is known replaces what was taken for granted, and once our own end is known to
// have opened the conversation it stays so: neither an answer nor a scan of the same port
// can turn an outbound one into an inbound one. Thus a flow whose source is the
// offender makes an inbound conversation unless it is the answer to ours, and the answers
// of our servers to a scanner do not make an outbound one.
//
// # What is an answer
//
// A conversation is answered when flows of both directions were seen, when a record has
// counters of the way back, when a flow comes from the responder, or when the
// offender has sent a TCP ACK. What was blocked is no answer, and neither is a refusal:
// a flow with no TCP flags but RST or RST and ACK, the way back of a biflow with only
// these, or an ICMP unreachable. A conversation with refusals alone is refused.
package conversation
