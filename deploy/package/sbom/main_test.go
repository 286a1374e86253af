package main

import (
	"encoding/json"
	"os"
	"testing"
)

// TestDescribe: the document of a program (this test) names it with its sum, has the
// standard library, refers to nothing that it does not have, and comes out the same.
func TestDescribe(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := describe("1.2.3", []string{self}, "1700000000")
	if err != nil {
		t.Fatal(err)
	}
	if doc.BOMFormat != "CycloneDX" || doc.Metadata.Timestamp != "2023-11-14T22:13:20Z" || doc.Metadata.Component.Version != "1.2.3" {
		t.Errorf("%+v", doc)
	}
	known, std := map[string]bool{doc.Metadata.Component.Ref: true}, false
	for _, c := range doc.Components {
		if known[c.Ref] {
			t.Errorf("%s is there twice", c.Ref)
		}
		known[c.Ref] = true
		std = std || c.Name == "std"
		if c.Type == "file" && (len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64) {
			t.Errorf("%s has no sum: %+v", c.Name, c.Hashes)
		}
	}
	if !std {
		t.Errorf("no standard library in %+v", doc.Components)
	}
	for _, d := range doc.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !known[ref] {
				t.Errorf("refers to %s, which is not there", ref)
			}
		}
	}
	again, err := describe("1.2.3", []string{self}, "1700000000")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(doc)
	if b, _ := json.Marshal(again); string(a) != string(b) {
		t.Error("two documents of one program differ")
	}
}

func TestDescribeRefuses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := describe("1", []string{self}, "yesterday"); err == nil {
		t.Error("a date that is none was taken")
	}
	if _, err := describe("1", []string{"main.go"}, ""); err == nil {
		t.Error("a file that is no program was taken")
	}
}
