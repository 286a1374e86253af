package nfdump

import (
	"net/netip"
)

// A Flow is one row. Addresses are unmapped, numbers in host order.
type Flow struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of ICMP the DstPort is type * 256 + code
	Protocol         uint8  // IANA protocol number
	TCPFlags         uint8
	// First and Last are the start and the end of the flow, Received when nfcapd got its
	// record; ms since 1970 UTC, 0 = not there. At least one of them is.
	First, Last, Received int64
	// Bytes and Packets went from Src to Dst, RevBytes and RevPackets back, in the same
	// record. All of them are multiplied by the sampling rate already.
	Bytes, Packets, RevBytes, RevPackets uint64
	// Exporter is the address of the device; invalid = not there.
	Exporter netip.Addr
	// Sampled is set when not all packets were seen. nfdump does not print the rate.
	Sampled bool
	// ForwardingStatus is IPFIX element 89, FirewallEvent element 233; 0 = not there.
	ForwardingStatus, FirewallEvent uint8
	// PostNATSrc and PostNATDst are the ends after translation; invalid = not there.
	PostNATSrc, PostNATDst         netip.Addr
	PostNATSrcPort, PostNATDstPort uint16
}

// At is when the record was received, else the end of the flow, else its start.
func (f *Flow) At() int64 {
	switch {
	case f.Received != 0:
		return f.Received
	case f.Last != 0:
		return f.Last
	}
	return f.First
}

// A Form is what nfdump was asked to print.
type Form string

// The forms that are read.
const (
	LegacyCSV Form = "csv of nfdump 1.6 to 1.7.4"
	CSV       Form = "csv of nfdump 1.7.5 or later"
	JSON      Form = "json of nfdump"
)

// A BadRow is one that could not be read.
type BadRow struct {
	Line   int // of its beginning, from 1
	Text   string
	Reason string
}

// A Report is what became of an input.
type Report struct {
	Form  Form // of its beginning; empty = none was recognised
	Lines int
	Rows  uint64 // given as flows
	Bad   uint64 // rows that could not be read
	// Samples are the first bad rows.
	Samples []BadRow
	// PacketsAsBytes are rows whose bytes are the number of packets, which no flow has.
	// Some versions print that (ndjson). Their bytes are 0 then.
	PacketsAsBytes uint64
}

// maxSamples is how many bad rows are kept, sampleText how much of each, in bytes.
const (
	maxSamples = 5
	sampleText = 120
)

func (r *Report) bad(line int, text []byte, reason string) {
	r.Bad++
	if len(r.Samples) < maxSamples {
		r.Samples = append(r.Samples, BadRow{Line: line, Text: printable(text), Reason: reason})
	}
}

// printable cuts a row for a message and replaces what a terminal could take for a command.
func printable(b []byte) string {
	cut := len(b) > sampleText
	if cut {
		b = b[:sampleText]
	}
	out := make([]byte, 0, len(b)+3)
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = ' '
		}
		out = append(out, c)
	}
	if cut {
		out = append(out, "..."...)
	}
	return string(out)
}

// complete checks what a row must have, and mends what versions of nfdump do wrong.
func (f *Flow) complete(r *Report) string {
	switch {
	case !f.Src.IsValid() || !f.Dst.IsValid():
		return "no source or destination address"
	case f.First == 0 && f.Last == 0 && f.Received == 0:
		return "no time"
	}
	// The reverse counters are those of element 23 and 24 in some exports: the same packets
	// once more when they leave.
	if f.RevPackets == f.Packets && f.RevBytes == f.Bytes && !icmp(f.Protocol) {
		f.RevPackets, f.RevBytes = 0, 0
	}
	if f.Packets > 0 && f.Bytes == f.Packets {
		f.Bytes = 0
		r.PacketsAsBytes++
	}
	return ""
}

func icmp(protocol uint8) bool { return protocol == 1 || protocol == 58 }
