// Package sinks takes events out of the process. A [Sink] is one way out, and a [Runner]
// delivers events to it from its place in a [Journal], which holds them until every sink
// has had them. The Append functions are the forms an event can take: [AppendNative] one
// line of JSON for machines, [AppendText] one line for people, and what the world's
// collectors want, by name: [FormatByName].
//
// Text that comes from feeds or exporters is foreign: every form escapes or
// strips it, so that no field can be forged, no line broken and no terminal
// driven by it.
package sinks
