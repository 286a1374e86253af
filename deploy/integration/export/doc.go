// Package export proves that the programs which block lists are written for take them:
// 100,000 entries of both families, with timeouts, ports and hostile names, through nft and
// ipset in a network namespace, bird, bgpd, named-checkzone and a real rbldnsd, and a
// bundle through the STIX validator of OASIS. What nft and ipset then have is compared
// with what was listed, address by address.
//
// The tests are behind the build tag integration; as root on Debian they install what is
// missing. pf has no checker on Linux, and RouterOS none that is free: their lines are
// compared with their documentation in the tests of package export.
package export
