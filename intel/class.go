package intel

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// A Class is what a warninglist does to a listing of an address in it.
type Class string

// The classes.
const (
	// ClassInfrastructure is what everybody talks to: root servers, public resolvers,
	// update servers. It never raises a hit.
	ClassInfrastructure Class = "infrastructure"
	// ClassShared is where many live behind one address: clouds, relays, CDNs. A
	// listing counts half, unless it names a port or a second feed agrees.
	ClassShared Class = "shared"
	// ClassScanner are known research scanners: the category becomes scanner.
	ClassScanner Class = "scanner"
	// ClassSinkhole are addresses that catch the victims of dead botnets: whoever
	// of us talks to one is infected, and the category shows it.
	ClassSinkhole Class = "sinkhole"
)

// Classes gives all of them.
func Classes() []Class {
	return []Class{ClassInfrastructure, ClassShared, ClassScanner, ClassSinkhole}
}

// A Warninglist is a list of addresses that deserve a second look before an alarm.
// It does not change; any number of tables may share it.
type Warninglist struct {
	Name  string // as in the configuration and in reports
	Class Class  // what it does to a listing
	// Stopped counts the look-ups that found a listing and gave no hit because of
	// this list: what would have been a hit. Lists of other classes stop nothing.
	// It is never nil.
	Stopped *atomic.Uint64

	networks *Networks
}

// NewWarninglist makes a list. Prefixes that say nothing, /0 and invalid ones, are
// left out. The counter goes on with the one given; nil means a new one.
func NewWarninglist(name string, class Class, prefixes []netip.Prefix, stopped *atomic.Uint64) *Warninglist {
	if stopped == nil {
		stopped = new(atomic.Uint64)
	}
	useful := slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool {
		return !p.IsValid() || Canonical(p).Bits() == 0
	})
	return &Warninglist{Name: name, Class: class, Stopped: stopped, networks: NewNetworks(useful)}
}

// Len gives the number of distinct prefixes in the list.
func (w *Warninglist) Len() int { return w.networks.Len() }

// Contains reports whether a is in the list.
func (w *Warninglist) Contains(a netip.Addr) bool { return w.networks.Contains(a) }

// Overlaps reports whether the list has an address of p.
func (w *Warninglist) Overlaps(p netip.Prefix) bool { return w.networks.set.OverlapsPrefix(p) }

// Overlapping gives a prefix of the list that shares addresses with p, see
// [Networks.Overlapping].
func (w *Warninglist) Overlapping(p netip.Prefix) (netip.Prefix, bool) {
	return w.networks.Overlapping(p)
}
