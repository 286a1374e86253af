//go:build soak && !integration

package rules

// rounds is how often the process is killed.
const rounds = 100
