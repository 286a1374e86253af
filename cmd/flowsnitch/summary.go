package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A captureSummary adds up what became of captures.
type captureSummary struct {
	canaries uint64
	frames   capture.Stats
	decode   decode.Stats
}

func (s *captureSummary) read(c capture.Stats) {
	s.frames.Frames += c.Frames
	s.frames.Datagrams += c.Datagrams
	s.frames.TCP += c.TCP
	s.frames.Malformed += c.Malformed
	s.frames.Cut += c.Cut
	s.frames.Truncated += c.Truncated
	s.frames.Waiting += c.Waiting + c.Expired + c.Evicted + c.Overlapping
}

func (s *captureSummary) decoded(d decode.Stats, x *decode.Exporters) {
	s.decode.Add(d)
}

// print writes the summary as plain lines.
func (s *captureSummary) print(w io.Writer) {
	fmt.Fprintf(w, "%d frames, %d UDP datagrams, %d of them export: %d flow records%s\n",
		s.frames.Frames, s.frames.Datagrams, s.decode.Datagrams(), s.decode.Records(), byVersion(&s.decode))
	line := func(n uint64, text string) {
		if n > 0 {
			fmt.Fprintf(w, "  %d %s\n", n, text)
		}
	}
	line(s.decode.NoAddress, "records without an address (layer 2, MPLS, multicast)")
	line(s.decode.UnknownSets, "data sets whose template was not there when they came")
	line(s.frames.TCP, "TCP frames, not read (export over TCP is not supported)")
	line(s.frames.Malformed, "malformed frames")
	line(s.frames.Cut+s.frames.Truncated, "frames cut by the snap length of the capture")
	line(s.frames.Waiting, "fragmented packets that were never complete")
	for _, r := range slices.Sorted(maps.Keys(s.decode.Problems)) {
		line(s.decode.Problems[r], "problems: "+string(r))
	}
}

// byVersion names the protocols that were seen, in brackets.
func byVersion(d *decode.Stats) string {
	var parts []string
	for _, v := range []struct {
		name string
		s    decode.VersionStats
	}{{"v5", d.V5}, {"v9", d.V9}, {"ipfix", d.IPFIX}, {"sflow", d.SFlow}} {
		if v.s.Datagrams > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", v.name, v.s.Records))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
