// Package day has two days: that of a newcomer, who types the README's commands into a fresh
// Debian with only Go, and that of a branch office.
//
// The second runs the real binary with the edge profile through the flows of a day in minutes.
// What it holds (memory, files, goroutines) has to stay flat, and what it writes to the disk is
// reported, as the kernel counts it: the figures of the guide for the Pi about an SD card. It is
// behind the build tag soak, and the temporary folder must be on a disk.
package day
