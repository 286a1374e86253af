package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// mainKeys are in every line, null when the record has none.
var mainKeys = []string{
	"src", "dst", "sport", "dport", "proto", "bytes", "packets", "tcp_flags",
	"start_ms", "end_ms", "post_nat_src", "post_nat_dst",
}

// remarks are keys of the reference that are about the record, not of it.
var remarks = []string{"n", "needs_buffering", "strict_may_drop"}

// extra tells which keys may be printed although the reference has none.
func extra(key string, ver any) bool {
	switch key {
	case "forwarding_status", "icmp_type_code":
		return true
	case "src_as", "dst_as":
		return ver == "sflow5"
	}
	return false
}

// late names captures all of whose records may come in another order than in the
// reference, and why. Records marked needs_buffering always may.
var late = map[string]string{
	"v9-data-then-templates": "data in front of its template in one datagram: it is read when the template comes",
}

// notMatched names reference records, as capture/n, that are rightly not printed
// alike, and why. There is none.
var notMatched = map[string]string{}

// TestDecodeCorpus: decode prints the reference of every capture.
func TestDecodeCorpus(t *testing.T) {
	for name, path := range captures(t) {
		t.Run(name, func(t *testing.T) {
			want := readLines(t, read(t, strings.TrimSuffix(path, ".pcap")+".expect.jsonl"))
			r := command(t, "decode", path)
			if r.code != exitDone {
				t.Fatalf("exit code %d: %s", r.code, r.err)
			}
			got := readLines(t, r.out)
			for i, g := range got {
				checkForm(t, i, g)
			}
			compare(t, name, got, want)
		})
	}
}

// num is a number as readLines gives it.
func num(s string) json.Number { return json.Number(s) }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readLines reads JSON lines; numbers keep their digits.
func readLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if !strings.HasSuffix(line, "\n") {
			t.Errorf("a line without an end: %q", line)
		}
		out = append(out, o)
	}
	return out
}

// checkForm holds what is true of every line.
func checkForm(t *testing.T, i int, g map[string]any) {
	t.Helper()
	if fmt.Sprint(g["n"]) != fmt.Sprint(i) {
		t.Errorf("line %d has n %v", i, g["n"])
	}
	for _, k := range mainKeys {
		if _, ok := g[k]; !ok {
			t.Errorf("line %d has no key %s", i, k)
		}
	}
}

// compare compares the records that come in order, and the others as a set.
func compare(t *testing.T, name string, got, want []map[string]any) {
	t.Helper()
	waited := map[string]bool{} // frames with records that wait for their template
	for _, w := range want {
		if w["needs_buffering"] == true || late[name] != "" {
			waited[fmt.Sprint(w["pkt"])] = true
		}
	}
	isLate := func(o map[string]any) bool { return waited[fmt.Sprint(o["pkt"])] }
	compareInOrder(t, name, slices.DeleteFunc(slices.Clone(got), isLate), slices.DeleteFunc(slices.Clone(want), isLate))
	inOrder := func(o map[string]any) bool { return !isLate(o) }
	compareSets(t, slices.DeleteFunc(slices.Clone(got), inOrder), slices.DeleteFunc(slices.Clone(want), inOrder))
}

func compareInOrder(t *testing.T, name string, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records in order, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if notMatched[fmt.Sprintf("%s/%v", name, want[i]["n"])] != "" {
			continue
		}
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
			t.Errorf("record %v in frame %v did not come", w["n"], w["pkt"])
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, g := range got {
		t.Errorf("a record that nobody expects: %v", g)
	}
}

// difference names the keys in which a printed record differs from its reference.
func difference(got, want map[string]any) string {
	var out []string
	for k, w := range want {
		if g := got[k]; !slices.Contains(remarks, k) && !reflect.DeepEqual(g, w) {
			out = append(out, fmt.Sprintf("%s is %v, want %v", k, g, w))
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok && g != nil && !extra(k, got["ver"]) {
			out = append(out, fmt.Sprintf("%s is %v, want none", k, g))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
