// Command sbom prints what programs are made of, as a CycloneDX document: the modules
// that the Go linker has written into them, with their sums. It needs no network and
// no sources, so its content is true of the very files that are shipped.
//
//	go run ./deploy/package/sbom VERSION PROGRAM...
package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom VERSION PROGRAM...")
		os.Exit(2)
	}
	doc, err := describe(os.Args[1], os.Args[2:], os.Getenv("SOURCE_DATE_EPOCH"))
	if err == nil {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", " ")
		err = e.Encode(doc)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// The parts of CycloneDX 1.5 that are written here (cyclonedx.org/docs/1.5/json).
type (
	document struct {
		BOMFormat    string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp,omitempty"`
		Component component `json:"component"`
	}
	component struct {
		Ref     string `json:"bom-ref"`
		Type    string `json:"type"`
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		PURL    string `json:"purl,omitempty"`
		Hashes  []hash `json:"hashes,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// describe gives the document of all programs together. epoch is the value of
// SOURCE_DATE_EPOCH; without one the document has no time.
func describe(version string, programs []string, epoch string) (*document, error) {
	const us = "pkg:golang/github.com/flowsnitch/flowsnitch"
	root := component{Ref: us + "@" + version, Type: "application", Name: "flowsnitch", Version: version, PURL: us + "@" + version}
	doc := &document{BOMFormat: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: metadata{Component: root}}
	if epoch != "" {
		s, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds", epoch)
		}
		doc.Metadata.Timestamp = time.Unix(s, 0).UTC().Format(time.RFC3339)
	}
	all := map[string]component{}
	var files []string
	for _, path := range programs {
		file, parts, err := program(path)
		if err != nil {
			return nil, err
		}
		all[file.Ref] = file
		files = append(files, file.Ref)
		dep := dependency{Ref: file.Ref}
		for _, p := range parts {
			all[p.Ref] = p
			dep.DependsOn = append(dep.DependsOn, p.Ref)
		}
		slices.Sort(dep.DependsOn)
		doc.Dependencies = append(doc.Dependencies, dep)
	}
	doc.Dependencies = append(doc.Dependencies, dependency{Ref: root.Ref, DependsOn: files})
	doc.Components = slices.SortedFunc(maps.Values(all), func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })
	return doc, nil
}

// program reads what the linker wrote into a file: the Go release and the modules.
func program(path string) (component, []component, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return component{}, nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return component{}, nil, err
	}
	sum := sha256.Sum256(b)
	name := filepath.Base(path)
	file := component{Ref: "file:" + name, Type: "file", Name: name, Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}}
	parts := []component{module("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, m := range info.Deps {
		m = inForce(m)
		parts = append(parts, module(m.Path, m.Version, m.Sum))
	}
	return file, parts, nil
}

// inForce gives the module that was linked: a replaced one is not.
func inForce(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

// module describes a library. Its sum is that of go.sum: SHA-256 over the list of its
// files, in base64 behind "h1:".
func module(path, version, sum string) component {
	purl := "pkg:golang/" + strings.ToLower(path) + "@" + version
	c := component{Ref: purl, Type: "library", Name: path, Version: version, PURL: purl}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == sha256.Size {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
	}
	return c
}
