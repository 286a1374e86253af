// Package canary sends flows on purpose and measures how far they get: it proves that "no
// hits" means no contacts, and not a broken pipeline. It owns the socket that they are sent
// from and the times at which they passed each stage.
//
// A canary is one export datagram with one flow to a reserved indicator of documentation
// space (see [event.CanaryOf]). It passes through socket, decoder, matcher, correlator,
// journal and every sink like all flows, but the matcher recognises it by what it carries,
// and it is never counted as a hit. A [Sender] sends canaries, a [Watch] judges those that
// arrive and keeps the times. cmd/internal/app makes both.
package canary
