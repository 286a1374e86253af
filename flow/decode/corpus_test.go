package decode_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// corpus gives the folder of reference captures, or skips the test.
func corpus(t testing.TB) string {
	dir := os.Getenv("FLOWSNITCH_CORPUS")
	if dir == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder of reference captures to run this test")
	}
	return filepath.Join(dir, "flow")
}

// eachDatagram reads a capture.
func eachDatagram(t testing.TB, path string, f func(dg *flow.Datagram)) {
	t.Helper()
	r, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		dg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		dg.Frame = r.Frame()
		f(&dg)
	}
}

// otherOrder names captures whose records come in another order than in the
// reference, and why.
var otherOrder = map[string]string{
	"v9-data-then-templates": "data in front of the template in the same datagram: it is read when the template comes",
}

// TestCorpus compares every record of the reference captures in all its keys.
// Those that waited for their template are compared as a set per file: they come
// with their template, not in the order of the capture.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "*.expect.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.expect.jsonl there (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".expect.jsonl")
		t.Run(name, func(t *testing.T) {
			compareCapture(t, name, readReference(t, file), strings.TrimSuffix(file, ".expect.jsonl")+".pcap")
		})
	}
}

func compareCapture(t *testing.T, name string, want []map[string]any, path string) {
	c := &collector{}
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), c)
	eachDatagram(t, path, d.Decode)
	late := func(o map[string]any) bool { return o["needs_buffering"] == true || otherOrder[name] != "" }
	buffered := map[string]bool{} // frames whose records waited, by number
	for _, o := range want {
		if late(o) {
			buffered[fmt.Sprint(o["pkt"])] = true
		}
	}
	var got []map[string]any
	for i := range c.records {
		got = append(got, reference(&c.records[i], c.frames[i]))
	}
	isLate := func(o map[string]any) bool { return buffered[fmt.Sprint(o["pkt"])] }
	compareInOrder(t, slices.DeleteFunc(slices.Clone(got), isLate), slices.DeleteFunc(slices.Clone(want), isLate))
	compareSets(t, keep(got, isLate), keep(want, isLate))
	compareOptions(t, d, strings.TrimSuffix(path, ".pcap")+".options.jsonl")
}

// compareOptions counts the records of options data.
func compareOptions(t *testing.T, d *decode.Decoder, path string) {
	want := 0
	if _, err := os.Stat(path); err == nil {
		want = len(readReference(t, path))
	}
	s := d.Stats()
	if got := s.V9.OptionRecords + s.IPFIX.OptionRecords; got != uint64(want) {
		t.Errorf("%d options records, want %d", got, want)
	}
}

func keep[T any](s []T, f func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(s), func(v T) bool { return !f(v) })
}

func compareInOrder(t *testing.T, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records in order, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if diff := difference(got[i], want[i]); diff != "" {
			t.Errorf("record %v in frame %v: %s", want[i]["n"], want[i]["pkt"], diff)
		}
	}
}

func compareSets(t *testing.T, got, want []map[string]any) {
	t.Helper()
	for _, w := range want {
		i := slices.IndexFunc(got, func(g map[string]any) bool { return difference(g, w) == "" })
		if i < 0 {
			t.Errorf("record %v in frame %v did not come after its template", w["n"], w["pkt"])
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, g := range got {
		t.Errorf("a record that nobody expects: %v", g)
	}
}

// readReference reads the objects of an .expect.jsonl without their null values.
func readReference(t *testing.T, path string) []map[string]any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []map[string]any
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var o map[string]any
		d := json.NewDecoder(strings.NewReader(lines.Text()))
		d.UseNumber()
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		out = append(out, withoutNull(o))
	}
	return out
}

func withoutNull(o map[string]any) map[string]any {
	for k, v := range o {
		if v == nil {
			delete(o, k)
		}
		if inner, ok := v.(map[string]any); ok {
			withoutNull(inner)
		}
	}
	return o
}

// remarks are the keys of the reference that say nothing of the record itself.
var remarks = []string{"n", "needs_buffering", "strict_may_drop"}

// more are the keys that we tell although the reference does not.
var more = map[string]string{
	"icmp_type_code": "from icmpTypeIPv4 and the like (176-179), where 32 and 139 are not there",
	"src_as":         "of the extended gateway record of sFlow",
	"dst_as":         "of the extended gateway record of sFlow",
}

// difference names the keys in which two records differ.
func difference(got, want map[string]any) string {
	var out []string
	for k, w := range want {
		if g := got[k]; !slices.Contains(remarks, k) && !reflect.DeepEqual(g, w) {
			out = append(out, fmt.Sprintf("%s is %v, want %v", k, g, w))
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok && more[k] == "" {
			out = append(out, fmt.Sprintf("%s is %v, want none", k, g))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// reference renders a record as the reference has it.
func reference(r *flow.Record, frame int) map[string]any {
	o := map[string]any{}
	put := func(key string, there bool, v any) {
		if there {
			o[key] = v
		}
	}
	num := func(key string, there bool, v uint64) { put(key, there, json.Number(fmt.Sprint(v))) }
	has := func(f flow.Fields) bool { return r.Has&f != 0 }
	num("pkt", true, uint64(frame))
	if r.Exporter.Version == flow.SFlow {
		o["ver"] = "sflow5"
	} else {
		num("ver", true, uint64(r.Exporter.Version))
	}
	addr := func(key string, a netip.Addr) { put(key, a.IsValid(), a.String()) }
	addr("exporter", r.Exporter.Addr)
	addr("agent", r.Exporter.Agent)
	num("exporter_port", true, uint64(r.Exporter.Port))
	num("domain", true, uint64(r.Exporter.Domain))
	num("template", r.Template != 0, uint64(r.Template))
	addr("src", r.Src)
	addr("dst", r.Dst)
	num("sport", has(flow.HasSrcPort), uint64(r.SrcPort))
	num("dport", has(flow.HasDstPort), uint64(r.DstPort))
	num("proto", has(flow.HasProtocol), uint64(r.Protocol))
	num("bytes", has(flow.HasBytes), r.Bytes)
	num("packets", has(flow.HasPackets), r.Packets)
	num("bytes_ie", has(flow.HasBytes) && r.BytesIE != 1, uint64(r.BytesIE))
	num("packets_ie", has(flow.HasPackets) && r.PacketsIE != 2, uint64(r.PacketsIE))
	num("tcp_flags", has(flow.HasTCPFlags), uint64(r.TCPFlags))
	num("start_ms", !r.Start.IsZero(), uint64(r.Start.UnixMilli()))
	num("end_ms", !r.End.IsZero(), uint64(r.End.UnixMilli()))
	addr("post_nat_src", r.PostNATSrc)
	addr("post_nat_dst", r.PostNATDst)
	num("post_nat_sport", has(flow.HasPostNATPorts), uint64(r.PostNATSrcPort))
	num("post_nat_dport", has(flow.HasPostNATPorts), uint64(r.PostNATDstPort))
	num("rev_bytes", has(flow.HasRevBytes), r.RevBytes)
	num("rev_packets", has(flow.HasRevPackets), r.RevPackets)
	num("rev_tcp_flags", has(flow.HasRevTCPFlags), uint64(r.RevTCPFlags))
	num("resp_bytes", has(flow.HasRespBytes), r.RespBytes)
	num("resp_packets", has(flow.HasRespPackets), r.RespPackets)
	num("from_section", r.FromSection != 0, uint64(r.FromSection))
	num("sampling", has(flow.HasSampling), uint64(r.Sampling))
	num("in_if", has(flow.HasInIf), uint64(r.InIf))
	num("out_if", has(flow.HasOutIf), uint64(r.OutIf))
	num("src_as", has(flow.HasSrcAS), uint64(r.SrcAS))
	num("dst_as", has(flow.HasDstAS), uint64(r.DstAS))
	num("direction", has(flow.HasDirection), uint64(r.Direction))
	num("nat_event", has(flow.HasNATEvent), uint64(r.NATEvent))
	num("fw_event", has(flow.HasFirewallEvent), uint64(r.FirewallEvent))
	num("icmp_type_code", has(flow.HasICMP), uint64(r.ICMPTypeCode))
	num("flow_end_reason", has(flow.HasFlowEndReason), uint64(r.FlowEndReason))
	num("drop_reason", has(flow.HasDropReason), uint64(r.DropReason))
	num("frame_size", has(flow.HasFrameSize), uint64(r.FrameSize))
	num("header_protocol", has(flow.HasHeaderProtocol), uint64(r.HeaderProtocol))
	put("inner", r.InnerSrc.IsValid() || r.InnerDst.IsValid(), referenceInner(r))
	var others, pens []any
	for _, a := range r.Other {
		others = append(others, a.String())
	}
	for _, p := range r.PENs {
		pens = append(pens, json.Number(fmt.Sprint(p)))
	}
	put("other_addrs", others != nil, others)
	put("pens", pens != nil, pens)
	return o
}

func referenceInner(r *flow.Record) map[string]any {
	o := map[string]any{"src": r.InnerSrc.String(), "dst": r.InnerDst.String()}
	if r.Has&flow.HasInnerPorts != 0 {
		o["sport"], o["dport"] = json.Number(fmt.Sprint(r.InnerSrcPort)), json.Number(fmt.Sprint(r.InnerDstPort))
	}
	if r.Has&flow.HasInnerProtocol != 0 {
		o["proto"] = json.Number(fmt.Sprint(r.InnerProtocol))
	}
	return o
}

// TestCorpusReceived holds that records which waited keep the time of receipt of
// their own datagram.
func TestCorpusReceived(t *testing.T) {
	dir := corpus(t)
	for _, name := range []string{"v9-cisco-asa-1-data-first", "v9-nprobe-late-template", "ipfix-ixflow-late-template"} {
		received := map[int]time.Time{}
		c := &collector{}
		d := decode.New(decode.NewExporters(decode.DefaultLimits()), c)
		eachDatagram(t, filepath.Join(dir, name+".pcap"), func(dg *flow.Datagram) {
			received[dg.Frame] = dg.Received
			d.Decode(dg)
		})
		for i, r := range c.records {
			if !r.Received.Equal(received[c.frames[i]]) {
				t.Errorf("%s: record %d of frame %d was received %v, want %v", name, i, c.frames[i], r.Received, received[c.frames[i]])
			}
		}
	}
}
