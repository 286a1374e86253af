// Package client sends the HTTP requests of one feed: with its keys, which go to its own
// host alone, within bounds of time, and along redirects that are safe to follow. No error
// holds a secret. It is used by package source and those below it.
//
// Redirects are followed here, not by net/http. That turns a POST into a GET after 301, 302
// and 303, which asks ThreatFox or MISP for something else; it names the last URL, which may
// have a key in its query, in the Referer; it keeps headers of any name, also such that are
// keys; and it accepts a redirect without a target as an answer, so that it cannot be counted
// as refused. CheckRedirect can undo most of that, in as many lines as the loop has.
package client
