// Package runner looks after one feed for as long as the program runs: when its source is
// asked, what becomes of the answer, which copy of it is in use and which is held back, and
// what is done about a copy that the disk does not give. The manager of all feeds, package
// fetch, makes a runner for each and reads the copies in use into the table.
package runner
