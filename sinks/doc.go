// Package sinks takes events out of the process. A [Sink] is one way out, and a [Runner]
// delivers events to it from its place in a [Journal], which holds them until every sink
// has had them. The forms that events take are in package form.
package sinks
