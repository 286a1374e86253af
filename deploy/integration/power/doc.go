// Package power holds the test of power cuts: flowsnitch is killed at random points
// while it works, the files that it keeps are damaged at their ends, and it must start
// again, say what it discarded, and have lost no more than that.
package power
