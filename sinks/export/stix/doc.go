// Package stix writes a block list as a bundle of STIX 2.1 with an indicator for each row
// (STIX Version 2.1, OASIS Standard, 4.7), one object a line. The id of an indicator is made
// of its pattern, so that whoever reads the next bundle updates what he has.
//
// Called by sinks/export/target, where it is one of the targets.
package stix
