// Package stixpattern reads STIX patterns (STIX 2.1, section 9) as far as they are lists of
// addresses, perhaps with a port. It says what a pattern stands for, or that it says more
// than a list can. Package platforms uses it for STIX indicators.
package stixpattern
