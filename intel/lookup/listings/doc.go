// Package listings keeps millions of listings in little memory: a [Set] has for each
// prefix what every feed lists about it, 36 bytes without a pointer a listing, behind a
// trie and its prefilters. A Set never changes. A [Draft] collects listings and makes the
// next Set: from nothing, or from the one before, whose memory it then shares and which
// takes milliseconds where little has changed.
//
// What may be listed, and what a listing means for a flow, is decided by package lookup,
// which is the only user.
package listings
