// Package history keeps every contact of our hosts, listed or not, so that later, when an
// address has become known as bad, one can look up who of us talked to it. It is a component
// with a tap for each worker of the path.
//
// The workers add their flows up in tables (packages table and recorder). The one goroutine
// here takes the tables over once an interval, or as soon as one is full, and has them
// written as a file (package store), while another merges and removes files. Nothing of it
// is in the way of the path: while the disk does not keep up the tables fill, and what has
// no room in them is lost and counted.
//
// What is kept, for how long and for whom is in the README beside this file.
package history
