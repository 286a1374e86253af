// Package rules has the correlation rules that are shipped: a file for each, with the tests
// that it must pass in package detect. `flowsnitch config print rules` prints them.
package rules

import "embed"

// Files are the shipped rules, NAME.yml.
//
//go:embed *.yml
var Files embed.FS
