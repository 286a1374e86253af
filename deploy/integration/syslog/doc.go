// Package syslog proves the syslog sink on rsyslog and syslog-ng as Debian has them:
// over UDP, TCP with both framings, TLS and local sockets, in both protocols and
// every format. What these daemons write to a file must be what was sent, once and in
// order; and when rsyslog is killed in the midst of it, every event must be there all
// the same.
//
// The tests are behind the build tag integration and need Debian and root. The daemons
// are unpacked beside the system, for their packages exclude each other, and run on
// free ports of loopback.
package syslog
