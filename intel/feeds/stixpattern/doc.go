// Package stixpattern reads STIX patterns (STIX 2.1, section 9) as far as they are lists of
// addresses, perhaps with a port. It gives the addresses that a pattern stands for,
// or an error for one that means more than a list can express. Package platforms uses it for STIX indicators.
package stixpattern
