// Package clock holds the test of a wall clock that is set while flowsnitch runs: to
// other years and back. The clock of the machine is left alone: libfaketime stands
// between the kernel and an emulator (qemu-user), in which the program runs.
package clock
