// Package sinks defines how events leave the process. A [Sink] is one destination, and a
// [Runner] delivers events to it from its place in a [Journal], which holds them until every
// sink has had them; it owns the retries, the filter and the rate limit of its sink. The
// forms that events take are in package form.
//
// cmd/internal/app makes a runner for each configured sink. A new destination is a package
// of its own below this one: see "How to add" in CONTRIBUTING.md.
package sinks
