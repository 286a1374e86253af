// Package misp reads the events of a MISP feed directory by its manifest, or of an instance
// by its search.
package misp
