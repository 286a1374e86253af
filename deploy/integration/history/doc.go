// Package history proves the history of contacts beside nfcapd of nfdump: both receive the same
// export, and what the real program finds in its history, and in imports of what nfdump
// prints, is compared with a plain sum over nfdump's records. The tests are behind the build
// tag integration.
package history
