// Package canary sends flows on purpose and watches how far they come: to prove that
// "no hits" means no contacts, and not a dead pipe.
//
// A canary is one export datagram with one flow to a reserved indicator of
// documentation space (see [event.CanaryOf]). It goes through socket, decoder, matcher,
// correlator, journal and every sink as all flows do, but is told from hits at the
// matcher by what it carries and is never counted among them. A [Sender] sends them, a
// [Watch] judges those that arrive and keeps the times.
package canary
