// Package export proves that the programs which block lists are written for take them:
// entries of both families, with timeouts, ports and hostile names, through nft and
// ipset in a network namespace, bird, bgpd, named-checkzone and a real rbldnsd, and a
// bundle through the STIX validator of OASIS; names through named-checkzone, a resolver and
// postmap; lists over HTTP through curl. What nft and ipset then have is compared with what was listed, address by
// address. FLOWSNITCH_EXPORT_ENTRIES=140000 makes lists of 100,000 rows, as 'make soak' does.
//
// The tests are behind the build tag integration; as root on Debian they install what is
// missing. pf has no checker on Linux, and RouterOS none that is free: their lines are
// compared with their documentation in the tests of package export.
package export
