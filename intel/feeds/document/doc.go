// Package document is what all formats of lists have in common: a [Document] holds the
// entries that are handed on, the rows that are rejected with the reason, and the report of
// both; a [Source] is its text, unpacked, decoded and no longer than allowed, and is read
// line by line. It also bounds and cleans the evidence of an entry, as all of it is foreign
// text, and knows the words for categories and labels of sharing. Package feeds makes a
// document for each call of Parse, and the formats below feeds fill it.
package document
