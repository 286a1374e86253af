// Package hitlog has the real program write its hit log where disks fill up, file systems
// turn read-only, and logrotate and people move and remove files under its feet. Another
// hit log of the same program, which is left alone, has what should have been written:
// no line may be half, twice or missing, but for those that a counter has.
//
// The tests are behind the build tag integration and need Linux and root (mounts).
package hitlog
