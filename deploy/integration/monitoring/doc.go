// Package monitoring runs the files of deploy/icinga and deploy/munin in a real Icinga 2
// and a real munin-node, as their packages are configured, against the real binary. Icinga
// asks over the control socket, over TLS with a token and by SSH. Then wires are pulled: a
// sink's server, the process, the right to ask. Each time the state is what it should be,
// names the cause, and turns well again.
//
// The tests are behind the build tag integration; deploy/integration/run installs the
// daemons from Debian's packages.
package monitoring
