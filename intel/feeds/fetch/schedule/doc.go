// Package schedule decides when a source may be asked: its state on disk, with the floor of its
// provider, back-off and jitter, and the gate that bounds the fetches at a time.
package schedule
