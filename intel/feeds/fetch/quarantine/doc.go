// Package quarantine keeps the list of prefixes whose hits are rolled up because they match
// an absurd share of all flows. It owns that list and its file in the state directory; the
// manager of all feeds adds to it and removes from it, and the correlator rolls up what is
// on it.
package quarantine
