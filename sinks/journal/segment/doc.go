// Package segment is the files of events of one lane of the journal: what is written at the
// end of the last, repaired when the lane is opened, brought to the disk, written again where
// that failed, and cut off at the beginning when it is not needed or there is no room. It
// knows numbers of events and bytes; what is in a record is the business of package record,
// and who still needs an event that of package journal, which calls it.
package segment
