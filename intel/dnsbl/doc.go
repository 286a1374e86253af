// Package dnsbl looks up addresses of flows in DNS block lists (RFC 5782), in the background
// and at a bounded rate: a worker hands an address over without ever waiting, and a listing
// comes back as a hit of the flow that it was seen in. A [Checker] owns the queue, the cache
// of answers and the goroutines that query; each worker has an [Asker] of its own, which
// package match calls for addresses that no table lists.
//
// It is off unless zones are configured, as every query discloses to the operators of the
// zone whom we talk to. Use a zone of your own, a data query service, or a local rbldnsd.
package dnsbl
