// Package capture reads export packets from pcap and pcapng files, plain or
// gzip-compressed, as a source of [flow.Datagram] values, and writes such files
// for tests and generators.
//
// A [Reader] gives every UDP payload of the capture, whatever its ports: which
// of them are export is for [flow.Detect] to judge by content. Everything else
// is skipped and counted in [Stats]. Fragments of IPv4 and IPv6 are put together
// within fixed bounds.
//
// Package file reads the framing of both file formats, without a library: lengths in a
// file are claims, so each is checked against a cap and against its block before
// it is believed, and an error names the frame, the offset and what is wrong.
// gopacket/pcapgo v1.7.7 does not: it never compares the two lengths of a pcapng
// block, reads a packet beyond the end of its block as if it were there, takes
// packets of any size, and its errors have no position.
//
// Formats: the pcap and pcapng drafts of the IETF OPSAWG working group
// (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng); link types as registered
// in draft-ietf-opsawg-pcaplinktype.
package capture
