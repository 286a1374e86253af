package main

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A recordList gathers flow records.
type recordList []flow.Record

func (l *recordList) Records(s *decode.Set) {
	for i := range s.Len() {
		var r flow.Record
		s.Record(i, &r)
		*l = append(*l, r)
	}
}

// readAll decodes a capture.
func readAll(t *testing.T, file string) (list recordList, x *decode.Exporters) {
	t.Helper()
	r, err := capture.Open(file)
	check(t, err)
	defer r.Close()
	x = decode.NewExporters(decode.DefaultLimits())
	d := decode.New(x, &list)
	dg, err := r.Next()
	for ; err == nil; dg, err = r.Next() {
		d.Decode(&dg)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	for reason, n := range d.Stats().Problems {
		if n != 0 {
			t.Errorf("%d times %s", n, reason)
		}
	}
	return list, x
}

// TestProcesses: sessions behind one address contradict each other in what their template
// ids mean, and the decoder reads the flows of each as those of one alone.
func TestProcesses(t *testing.T) {
	for _, v := range []string{"v9", "ipfix"} {
		read := func(args ...string) (recordList, *decode.Exporters, summary) {
			file := filepath.Join(t.TempDir(), "out.pcap")
			s := flowgen(t, t.Context(), append([]string{"--version", v, "--pcap", file, "--count", "2000", "--flows", "2000", "--batch", "1",
				"--ipv6", "0.2", "--template-every", "5"}, args...)...)
			list, x := readAll(t, file)
			return list, x, s
		}
		one, _, _ := read()
		for _, n := range []string{"2", "3"} {
			got, x, s := read("--processes", n)
			if len(got) != 2000 || len(one) != 2000 || s.Flows != 2000 || s.Exporters != 1 {
				t.Fatalf("%s, %s processes: %d flows, alone %d, %+v", v, n, len(got), len(one), s)
			}
			ports := map[uint16]int{}
			for i := range got {
				ports[got[i].Exporter.Port]++
				if g, w := &got[i], &one[i]; g.Src != w.Src || g.Dst != w.Dst || g.SrcPort != w.SrcPort || g.Bytes != w.Bytes || g.Exporter.Addr != w.Exporter.Addr {
					t.Fatalf("%s, %s processes, flow %d:\n got %+v\nwant %+v", v, n, i, g, w)
				}
			}
			if !x.Snapshot()[0].Split {
				t.Errorf("%s: %s processes do not contradict each other: %+v", v, n, x.Snapshot()[0])
			}
			t.Log(ports)
		}
	}
}

// TestKinds: what the flags change is what the decoder reads.
func TestKinds(t *testing.T) {
	for _, v := range []string{"v9", "ipfix"} {
		read := func(args ...string) recordList {
			file := filepath.Join(t.TempDir(), "out.pcap")
			flowgen(t, t.Context(), append([]string{"--version", v, "--pcap", file, "--count", "500"}, args...)...)
			list, _ := readAll(t, file)
			return list
		}
		plain, totals, avc := read(), read("--totals"), read("--avc")
		for i := range plain {
			p := &plain[i]
			if p.BytesIE != 1 || totals[i].BytesIE != 85 || totals[i].PacketsIE != 86 || totals[i].Bytes != p.Bytes || totals[i].Totals == 0 {
				t.Fatalf("%s totals: %+v, plain %+v", v, totals[i], p)
			}
			if a := &avc[i]; a.Src != p.Src || a.Dst != p.Dst || a.SrcPort != p.SrcPort || a.DstPort != p.DstPort {
				t.Fatalf("%s avc: %+v, plain %+v", v, a, p)
			}
		}
		in := map[string]string{"v9": "interface", "ipfix": "ingress"}[v]
		for _, c := range []struct {
			args     []string
			on3, off uint32 // the rate of flows from interface 3, and of others
		}{
			{[]string{"--sampling", "1000"}, 1000, 1000},
			{[]string{"--sampling", "1000", "--sampled-interface", "3"}, 1000, 0},
			{[]string{"--sampling", "1000", "--sampling-for", in + "=3:100"}, 100, 1000},
			{[]string{"--sampling-for", in + "=3:100", "--sampling-for", "template=256:50"}, 100, 50},
			{[]string{"--sampling-for", in + "=3,template=256:10", "--sampling-for", in + "=3:100", "--sampling-for", "template=256:50"}, 10, 50},
		} {
			for _, r := range read(c.args...) {
				want := c.off
				if r.InIf == 3 {
					want = c.on3
				}
				if r.Rate != want {
					t.Fatalf("%s %q: a rate of %d on interface %d, want %d", v, c.args, r.Rate, r.InIf, want)
				}
			}
		}
	}
}
