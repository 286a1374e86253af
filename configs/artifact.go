package configs

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// artifacts are what consumers of events need: decoders, rules, schemas, tables.
// Each has at its top where it goes.
//
//go:embed clickhouse elasticsearch filebeat fluent-bit hit.schema.json logrotate logstash ossec rsyslog splunk syslog-ng
//go:embed rules/*.yml vector wazuh
var artifacts embed.FS

// Artifact gives a consumer's configuration by one of the names of [Artifacts]. That
// of a folder stands for all of its files, one after another; rules are documents of YAML.
func Artifact(name string) ([]byte, error) {
	if !slices.Contains(Artifacts(), name) {
		return nil, fmt.Errorf("no artifact %q; allowed are %s", name, strings.Join(Artifacts(), ", "))
	}
	var all [][]byte
	err := fs.WalkDir(artifacts, name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := artifacts.ReadFile(path)
		all = append(all, b)
		return err
	})
	between := "\n"
	if name == "rules" {
		between = "---\n"
	}
	return bytes.Join(all, []byte(between)), err
}

// Artifacts gives the names of all artifacts in alphabetical order: folders, such as
// ossec, and the files in them, such as ossec/flowsnitch_rules.xml.
func Artifacts() []string {
	var names []string
	// An embedded file system has no errors to walk into.
	_ = fs.WalkDir(artifacts, ".", func(path string, _ fs.DirEntry, _ error) error {
		if path != "." {
			names = append(names, path)
		}
		return nil
	})
	slices.Sort(names)
	return names
}
