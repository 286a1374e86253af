// Package form has the forms in which events are sent to other programs, each one line: ECS
// and OCSF in JSON, CEF, LEEF and key=value. [ByName] returns a form by its name in the
// configuration, the native JSON of package event included; [AppendText] is a line for
// people. Forms are pure functions from an event to bytes; the sinks call them.
//
// Text from feeds and exporters is foreign: every form escapes or strips it, so that it
// cannot forge a field, break a line or control a terminal. A new form goes into a package
// of its own, into the table of ByName, and into the table of the tests that every form must pass.
package form
