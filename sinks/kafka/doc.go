// Package kafka publishes events to a Kafka cluster, and reads them back for people
// who want to see what a consumer sees.
//
// A [Producer] is a sink. What it delivers is acknowledged by all replicas, unless
// Config.Acks is weaker; what it cannot deliver it asks for again, for as long as
// it takes. An event may then be in the topic twice, with the same id.
//
//	hit, update  ->  flowsnitch.hits     key     the offender's address as text
//	alert        ->  flowsnitch.alerts   value   the event as JSON, as in the hit log
//	canary       ->  flowsnitch.canary   headers event, v, content-type
//
// The key chooses the partition as Java clients do (murmur2), so the events of one
// offender stand in the order in which they happened. Several batches of one partition
// are never under way at once and a partition stops at its first failure: the order of
// first occurrence holds through retries, leader changes and restarts of brokers.
//
// # What of kafka-go is used
//
// kafka-go's Client and Transport do the protocol: layout, topics, offsets, fetching,
// compression, records, SASL and its exchange. Its Writer, Reader, Dialer and ConsumerGroup
// are not used, because they do not keep what this package promises (as of v0.4.51):
//
//   - Writer waits out a linger even for full batches, goes on in the background when a
//     call has returned, may get a later batch through when an earlier one of the partition
//     failed, and its Close has no deadline.
//   - Client.Produce has one partition in a request. All partitions of a leader at once
//     would take as many connections to it, each with its own TLS and SASL, so the produce
//     request is built here, one for each leader.
//   - Reader waits for ever behind the end: where a topic was deleted and made again
//     a line for a logger is all that it gives until the new one has reached the old offset,
//     and what came before that is never shown. It begins at the first, the last or one offset,
//     not at a time or N messages before the end, and connects through a Dialer with TLS and
//     SASL of its own. [Consume] fetches through the Client instead.
//   - ConsumerGroup is for readers that share a topic. Consume is for people who watch: it
//     takes nothing away from the readers that there are and leaves no offsets behind, so it
//     is in no group.
//   - Transport has one TLS configuration for good and closes only connections that are idle.
//     A session dials itself: it reads certificates anew for each connection, names the broker
//     in errors, gives each of several brokers its share of the timeout, and closes all
//     connections at once.
//
// After any failure all connections are dropped. The next attempt asks for the cluster's
// layout anew and reads certificates and passwords from their files again, so that no
// recovery needs a restart.
package kafka
