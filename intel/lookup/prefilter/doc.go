// Package prefilter decides for most addresses in a few nanoseconds that no listed prefix
// covers them: a [Filter4] and a [Filter6] are bitmaps that turn away about 999 of 1,000
// addresses that are not listed, and never one that is. Package listings fills them with
// the prefixes of a set and checks them before its trie.
//
// Both work in two stages: Pass asks the first one for a chunk of addresses at once, Maybe
// the second one for each that is left. The zero value is the filter of the empty table:
// only Lets may be asked.
package prefilter
