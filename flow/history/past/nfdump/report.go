package nfdump

import "github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"

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
		r.Samples = append(r.Samples, BadRow{Line: line, Text: field.Printable(text, sampleText), Reason: reason})
	}
}

// complete checks what a row must have, and mends what versions of nfdump do wrong.
func complete(f *field.Flow, r *Report) string {
	switch {
	case !f.Src.IsValid() || !f.Dst.IsValid():
		return "no source or destination address"
	case f.First == 0 && f.Last == 0 && f.Received == 0:
		return "no time"
	}
	// The reverse counters are those of element 23 and 24 in some exports: the same packets
	// once more when they leave.
	if f.RevPackets == f.Packets && f.RevBytes == f.Bytes && !f.ICMP() {
		f.RevPackets, f.RevBytes = 0, 0
	}
	if f.Packets > 0 && f.Bytes == f.Packets {
		f.Bytes = 0
		r.PacketsAsBytes++
	}
	return ""
}
