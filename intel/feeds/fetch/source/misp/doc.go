// Package misp reads the events of a MISP feed directory by its manifest, or of a MISP
// instance by its search. It is one way of package source to read a feed and owns no state
// of its own; the runner of a feed of type misp calls it.
package misp
