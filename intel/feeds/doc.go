// Package feeds turns the lists of other people into indicators. A parser exists
// for every format that feeds are published in; each reads its document as a
// stream, keeps the evidence of every row, and says in a [Report] what it took,
// what it refused and why.
//
// Feed text is foreign text: nothing in it may cause a panic, unbounded memory or
// a prefix that is not canonical. A document that is not what it should be (an
// error page, broken JSON) is rejected as a whole, a row that is not what it
// should be is rejected alone.
package feeds
