//go:build !linux

package disk

// Forget does nothing: this system has no such call.
func (f osFile) Forget() {}
