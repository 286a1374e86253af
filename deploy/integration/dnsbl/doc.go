// Package dnsbl proves the DNS block lists on rbldnsd, the server that block lists run
// on, with real zones of both families on a port of loopback: listings with their
// evidence, answers that are errors, removal.
//
// The test is behind the build tag integration; as root on Debian it installs
// rbldnsd if it is missing.
package dnsbl
