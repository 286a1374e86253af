// Package syslog sends events to syslog servers: RFC 5424 or RFC 3164, over UDP, TCP,
// TLS (RFC 5425) or the local socket, as text, JSON, CEF or LEEF.
//
// Syslog acknowledges nothing. Over TCP, TLS and a local stream a [Sender] takes an
// event for delivered when the kernel's send queue holds nothing of it any more (Linux;
// elsewhere it is unknown) and Config.Resend has passed. When a connection breaks,
// everything younger comes again out of the journal, so a server that restarts may get
// some events twice, with the same id. What that cannot cover:
//
//   - a server that took an event, and was lost with it later than Resend;
//   - a server that has hung: its kernel acknowledges as much as its receive buffer
//     holds. Once that is full it is noticed, and all comes again that was younger than
//     Resend when the last of it was acknowledged; what is older, because few events
//     come, does not;
//   - a relay behind the server;
//   - UDP and a local datagram socket, where an event is gone once it is sent.
//
// A message is one line and never longer than Config.Limit. What is left out when room
// is short is chosen by importance; neither JSON nor CEF is ever cut in the middle.
package syslog
