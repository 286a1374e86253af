// Package integration proves flowsnitch on exporters that nobody here wrote:
// softflowd, pmacctd and fprobe watch real connections between network namespaces
// and export them over real sockets to the real program, whose hit log must hold the
// contacts with listed addresses and no others. One folder up nothing knows it; what
// is in here are tests behind the build tag integration, started as root by
//
//	make integration
//
// which installs the exporters from Debian's packages. Nothing leaves the machine: all
// addresses are of the documentation ranges, inside namespaces that the kernel drops
// with the test process.
package integration
