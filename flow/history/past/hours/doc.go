// Package hours makes the files of an import: the contacts of all flows that were received within
// one hour become a file. Several hours are open at once, as inputs are only roughly in the
// order of time; the one that was used longest ago is written when another begins.
package hours
