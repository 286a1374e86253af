package decode_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// TestCases compares every record of the captures that show one trouble each, as they
// are collected from issue trackers and standards, with the right answer.
func TestCases(t *testing.T) {
	dir := filepath.Join(filepath.Dir(corpus(t)), "cases", "flow")
	files, _ := filepath.Glob(filepath.Join(dir, "*.expect.jsonl"))
	if len(files) == 0 {
		t.Fatalf("no *.expect.jsonl in %s", dir)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".expect.jsonl")
		t.Run(name, func(t *testing.T) {
			c := &collector{}
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), c)
			eachDatagram(t, filepath.Join(dir, name+".pcap"), d.Decode)
			var got []map[string]any
			for i := range c.records {
				got = append(got, reference(&c.records[i], c.frames[i]))
			}
			compareInOrder(t, got, readReference(t, file))
			for reason, n := range caseProblems[name] {
				if have := d.Stats().Problems[reason]; have != n {
					t.Errorf("%s counted %d times, want %d: %v", reason, have, n, d.Stats().Problems)
				}
			}
			rates(t, name, c.records)
		})
	}
}

// caseProblems are what is to be counted beside the records.
var caseProblems = map[string]map[decode.Reason]uint64{
	"set-does-not-fit":   {"template_mismatch": 3},
	"datagram-left-over": {"sflow_sample": 1, "v5_count": 1},
}

// caseRates are the sampling rates in force that a case is about.
var caseRates = map[string][]uint32{"sampling-scope-v9-interface": {100, 1000}}

func rates(t *testing.T, name string, records []flow.Record) {
	for i, want := range caseRates[name] {
		if i >= len(records) || records[i].Rate != want {
			t.Errorf("record %d does not have the rate %d", i, want)
		}
	}
}
