// Package store keeps copies of feeds on disk, each a generation in a file that is whole or
// not there, and merges what has changed into the last one.
package store
