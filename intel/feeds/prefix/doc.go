// Package prefix reads addresses, prefixes, ranges and ports in the spellings that lists
// have: with a length or a netmask, with octets that are padded with zeros, as integers, with
// a port, as first and last address. What comes out is masked, unmapped, without zone and
// never the whole address space. It also finds addresses in free text. The formats of lists
// use it.
package prefix
