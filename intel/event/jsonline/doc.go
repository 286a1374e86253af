// Package jsonline reads and writes one line of JSON at a time: a [Line] is appended to
// without allocating, and a [Parser] reads a document strictly, with bounds, with the
// place of each error, and with the keys that its caller does not know as they are. Which
// keys there are is known by its callers: package event for the native form, both ways, and
// package form for ECS and OCSF. The Parser is for programs that read our lines; this one
// only writes them.
package jsonline
