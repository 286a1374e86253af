// Package programs reads lists in the formats of local software: firewalls (ipset, nftables,
// hosts.deny), intrusion detection (Suricata, Zeek, OSSEC), SiLK, rbldnsd, PeerGuardian, and
// the exit list of Tor. The table of formats in package feeds calls it.
package programs
