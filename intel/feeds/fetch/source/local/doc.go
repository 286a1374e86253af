// Package local reads the feeds that are files on this machine: a list, or a drop directory
// of which all files together are one feed. When to look at them is decided by the runner.
package local
