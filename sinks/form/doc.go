// Package form has the forms that an event takes for the collectors of the world, each one
// line: ECS and OCSF in JSON, CEF, LEEF and key=value. [ByName] gives a form, the native
// JSON of package event among them; [AppendText] is a line for people.
//
// Text that comes from feeds or exporters is foreign: every form escapes or strips it, so
// that no field can be forged, no line broken and no terminal driven by it.
package form
