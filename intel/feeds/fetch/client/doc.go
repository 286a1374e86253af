// Package client sends the HTTP requests of one feed: with its keys, which go to its own
// host alone, within bounds of time, and along redirects that are safe to follow. No error
// holds a secret.
package client
