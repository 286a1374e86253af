// Package source reads feeds from where they are published: a document by HTTP, the pulses
// of an OTX account, the collections of a TAXII server, the events of a MISP feed or
// instance. A Job is one fetch; what it brings goes into a Copy. When to fetch, and whether
// a new copy may be used, is decided elsewhere.
package source
