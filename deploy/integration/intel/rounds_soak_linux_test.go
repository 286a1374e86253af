//go:build soak

package intel

// rounds is how often a process is killed.
const rounds = 200
