// Package configs reads the configuration file: one YAML document, strict, every key
// optional. It owns the [Config] struct, which is made of the Config of each component, the
// loader whose errors name file, line, column, key and what is allowed, and the example
// files for consumers of events ([Artifact]). The commands load it; no component imports it.
//
// A new key is a field of its component's Config with its default and its check in Validate,
// and a line in flowsnitch.yml, the reference of all keys; a test compares both.
package configs
