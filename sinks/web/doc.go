// Package web has the two servers of a running instance: the control socket, a Unix socket
// that speaks HTTP with JSON and cannot be reached over the network, and, where the
// configuration enables it, metrics, health and status over HTTP. It owns the listeners, the
// access rules (token, Host header, connection limit) and their counters, and no content:
// the routes are those that components have registered with flow/observe. cmd/internal/app
// starts both.
package web
