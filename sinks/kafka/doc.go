// Package kafka publishes events to a Kafka cluster, and reads them back for people
// who want to see what a consumer sees.
//
// A [Producer] is a sink. What it delivers is acknowledged by all replicas, unless
// Config.Acks says otherwise; what it cannot deliver it asks for again, for as long as
// it takes. An event may then stand in the topic twice: its id tells.
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
// Requests are built here and sent through kafka-go's Transport, not its Writer: the
// latter waits out a linger even for full batches, goes on in the background when a
// call has returned, may get a later batch through when an earlier one failed, and its
// Close has no deadline. After any failure all connections are dropped. The next
// attempt asks for the cluster's layout anew and reads certificates and passwords
// from their files again, so that no recovery needs a restart.
package kafka
