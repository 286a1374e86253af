//go:build integration

package rules

// rounds is how often the process is killed. 'make soak' does 100.
const rounds = 8
