// Package day runs the real binary with the edge profile through the flows of a branch
// office's day in minutes. What it holds (memory, files, goroutines) has to stay flat,
// and what it writes to the disk is told, as the kernel counts it: the figures of the
// README for an SD card.
//
// The test is behind the build tag soak. The temporary folder must be on a disk.
package day
