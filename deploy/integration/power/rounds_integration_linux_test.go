//go:build integration

package power

// rounds is how often the power goes. 'make soak' does 200.
const rounds = 20
