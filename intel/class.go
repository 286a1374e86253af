package intel

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// A Class tells what a warninglist does to a listing of an address in it.
type Class string

// The classes.
const (
	// ClassInfrastructure is what everybody talks to: root servers, public resolvers,
	// update servers. It never raises a hit.
	ClassInfrastructure Class = "infrastructure"
	// ClassShared is where many live behind one address: clouds, relays, CDNs. A
	// listing counts half, unless it names a port or a second feed agrees.
	ClassShared Class = "shared"
	// ClassScanner are known research scanners: the category says so.
	ClassScanner Class = "scanner"
	// ClassSinkhole are addresses that catch the victims of dead botnets: whoever
	// of us talks to one is infected, and the category says so.
	ClassSinkhole Class = "sinkhole"
)

// Classes gives all of them.
func Classes() []Class {
	return []Class{ClassInfrastructure, ClassShared, ClassScanner, ClassSinkhole}
}

// A Warninglist is a list of addresses that deserve a second look before an alarm.
// It does not change; any number of tables may share it.
type Warninglist struct {
	Name  string
	Class Class
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
		return !p.IsValid() || unmapped(p).Bits() == 0
	})
	return &Warninglist{Name: name, Class: class, Stopped: stopped, networks: NewNetworks(useful)}
}

// Len gives the number of distinct prefixes in the list.
func (w *Warninglist) Len() int { return w.networks.Len() }

// Contains reports whether a is in the list.
func (w *Warninglist) Contains(a netip.Addr) bool { return w.networks.Contains(a) }

// warned gives the first list of a class that has the address.
func (g *guards) warned(a netip.Addr, class Class) *Warninglist {
	for _, w := range g.lists {
		if w.Class == class && w.networks.Contains(a) {
			return w
		}
	}
	return nil
}

// touching gives the lists that overlap p, for people.
func (g *guards) touching(p netip.Prefix) []Suppression {
	var out []Suppression
	for _, w := range g.lists {
		if by, ok := w.networks.overlapping(p); ok {
			out = append(out, Suppression{
				Indicator: Indicator{Prefix: p}, Reason: Reason(w.Class), By: by, Name: w.Name,
			})
		}
	}
	return out
}

// count notes for each list that it touches an entry of a feed.
func (g *guards) count(p netip.Prefix, entries []int) {
	for i, w := range g.lists {
		if w.networks.set.OverlapsPrefix(p) {
			entries[i]++
		}
	}
}

// sharedFactor is what a listing in shared space counts, as 1/sharedFactor.
const sharedFactor = 2

// weigh changes what the listings of an address say by the lists that have it. The
// operator's own word stays as it is; own tells which that is.
func (g *guards) weigh(a netip.Addr, list []Indicator, own []bool) {
	if len(g.lists) == 0 {
		return
	}
	halve := g.warned(a, ClassShared) != nil && !corroborated(list)
	label := g.label(a)
	for i := range list {
		if own[i] {
			continue
		}
		if halve && list[i].Port == 0 {
			list[i].Score = max(list[i].Score/sharedFactor, 1)
		}
		if label != "" && !worseThanScanning(list[i].Category) {
			list[i].Category = label
		}
	}
}

// label gives the category that the lists know better than the feeds.
func (g *guards) label(a netip.Addr) string {
	switch {
	case g.warned(a, ClassSinkhole) != nil:
		return string(ClassSinkhole)
	case g.warned(a, ClassScanner) != nil:
		return string(ClassScanner)
	}
	return ""
}

// worseThanScanning are the categories that a benign label must not hide. A sinkhole
// was a c2 once, and the feeds may not know that it is none any more: but who talks
// to it is infected all the same.
func worseThanScanning(category string) bool { return category == "c2" || category == "malware" }

// corroborated reports whether two feeds or more list the address.
func corroborated(list []Indicator) bool {
	return slices.ContainsFunc(list, func(i Indicator) bool { return i.Feed != list[0].Feed })
}
