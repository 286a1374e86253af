// Package dnsbl asks DNS block lists (RFC 5782) about addresses that flows have shown,
// in the background and at a bounded rate: a worker hands an address over without
// ever waiting, and a listing comes back as a hit of the flow that asked.
//
// It is off unless zones are configured, as it tells the operators of the zone whom
// we talk to. Use a zone of your own, a data query service, or a local rbldnsd.
package dnsbl
