//go:build integration || soak

package sums

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A summary is what flowsnitch prints at its end, added up over its lines.
type summary struct {
	received, drops, refused uint64
	datagrams, records       map[string]uint64 // by version
	lostFlows, lostRecords   uint64            // v5, IPFIX
	lostDatagrams, unsaid    uint64            // v9 and sFlow, IPFIX
	unknownSets              uint64
}

var (
	listenerLine = regexp.MustCompile(`(?m)^listener .*: (\d+) datagrams, .*kernel drops (\d+), (\d+) refused`)
	decodedLine  = regexp.MustCompile(`(?m)^decoded +(\w+): (\d+) datagrams, (\d+) flow records`)
	lostLine     = regexp.MustCompile(`(?m)^lost .*: (\d+) flows \(v5\), (\d+) records \(IPFIX\), (\d+) datagrams \(v9, sFlow\), (\d+) records`)
	unknownLine  = regexp.MustCompile(`(?m)^lost +(\d+) data sets`)
)

// parseSummary reads what stands behind the last "ran" line.
func parseSummary(t *testing.T, out string) summary {
	t.Helper()
	at := strings.LastIndex(out, "\nran ")
	if at < 0 {
		t.Fatalf("no summary at the end of %q", out)
	}
	text := out[at:]
	s := summary{datagrams: make(map[string]uint64), records: make(map[string]uint64)}
	if m := listenerLine.FindStringSubmatch(text); m != nil {
		s.received, s.drops, s.refused = number(m[1]), number(m[2]), number(m[3])
	} else {
		t.Errorf("no line about the listener in %q", text)
	}
	for _, m := range decodedLine.FindAllStringSubmatch(text, -1) {
		s.datagrams[m[1]], s.records[m[1]] = number(m[2]), number(m[3])
	}
	if m := lostLine.FindStringSubmatch(text); m != nil {
		s.lostFlows, s.lostRecords, s.lostDatagrams, s.unsaid = number(m[1]), number(m[2]), number(m[3]), number(m[4])
	}
	if m := unknownLine.FindStringSubmatch(text); m != nil {
		s.unknownSets = number(m[1])
	}
	return s
}

// number reads what a pattern found to be digits.
func number(digits string) uint64 {
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// add adds the summary of another life.
func (s *summary) add(o summary) {
	s.received += o.received
	s.drops += o.drops
	s.refused += o.refused
	for v := range o.datagrams {
		s.datagrams[v] += o.datagrams[v]
		s.records[v] += o.records[v]
	}
	s.lostFlows += o.lostFlows
	s.lostRecords += o.lostRecords
	s.lostDatagrams += o.lostDatagrams
	s.unsaid += o.unsaid
	s.unknownSets += o.unknownSets
}

// agrees tells whether the last words say the same as the last status.
func (s summary) agrees(t *testing.T, st status) {
	t.Helper()
	l := st.Listeners[0]
	if s.received != l.Datagrams || s.drops != l.KernelDrops || s.refused != l.Refused {
		t.Errorf("the summary says %d received, %d dropped, %d refused, the status %+v", s.received, s.drops, s.refused, l)
	}
	for v, d := range st.Decoded.Versions {
		if s.datagrams[v] != d.Datagrams || s.records[v] != d.Records {
			t.Errorf("%s: the summary says %d datagrams, %d records, the status %+v", v, s.datagrams[v], s.records[v], d)
		}
	}
	x := st.Exporters.Lost
	if s.lostFlows != x.Flows || s.lostRecords != x.Records || s.lostDatagrams != x.Datagrams || s.unsaid != x.Undecoded {
		t.Errorf("the summary says %d flows, %d records, %d datagrams lost, %d unsaid, the status %+v",
			s.lostFlows, s.lostRecords, s.lostDatagrams, s.unsaid, x)
	}
}
