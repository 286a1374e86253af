// Package source is what reading a feed from where it is published has in common: a Job is
// one fetch, what it brings goes into a Copy, and a Reading catches up with a service that is
// read piece by piece, around the pieces that cannot be had. Lists that are one document are
// read here; OTX, TAXII and MISP have packages of their own below. When to fetch, and whether
// a new copy may be used, is decided elsewhere.
package source
