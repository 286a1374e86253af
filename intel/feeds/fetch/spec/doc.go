// Package spec describes feeds: its block of the configuration, the presets of known
// feeds, and what is valid. Resolve fills in a preset and the defaults; what comes out is
// all that fetching needs to know of a feed.
package spec
