//go:build soak && !integration

package power

// rounds is how often the power goes.
const rounds = 200
