// Package listed remembers what was listed from when until when. It owns the form of the
// files that say so: one has all that was ever in force as long as the contact history lasts
// , others have what has changed with one set and has not been hunted yet.
// Package retro compares each new set with it, so that nothing new is missed over a restart, and
// looks up what had met a live match.
//
// All feeds are one here: an address that a second feed lists too is no news, as its flows
// have been hits before.
package listed
