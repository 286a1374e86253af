// Package web has what can be asked of a running instance: the control socket, a
// Unix socket that speaks HTTP with JSON and is never reachable from elsewhere, and,
// where the configuration wants that, metrics, health and status over HTTP.
package web
