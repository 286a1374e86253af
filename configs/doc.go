// Package configs is the configuration file: one YAML document, strict, every key
// optional. It has the [Config] struct, the loader whose errors say file, line,
// column, key and what is allowed, and the example files, which a test loads.
package configs
