// Package feeds turns the lists of other people into indicators: Parse detects the format of
// a document and hands on its entries, with a report of what it took, what it refused and
// why. The table of all formats is here, with the one for JSON of any shape; the others are
// in the packages rows (lists as text), programs (formats of local software) and platforms
// (JSON of threat intelligence platforms), and build upon document, prefix, dates and
// jsonwalk.
//
// Feed text is foreign text: nothing in it may cause a panic, unbounded memory or
// a prefix that is not canonical. A document that is not what it should be (an
// error page, broken JSON) is rejected as a whole, a row that is not what it
// should be is rejected alone.
package feeds
