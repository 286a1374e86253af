// Package contacts makes observations of the rows of a contact history: [Of] of one row, and
// [Read] of all rows of its files, hour by hour, which is how rules over contacts count time.
//
// The files of an hour are read one after the other, in order of their beginning. A file of
// several hours, which merges make after a day, has of each contact the hours that it had
// traffic in; its flows are taken to be spread evenly over these hours, and are counted as
// such ([Done.Spread]). How often a host was tried within an hour is an estimate then; which
// addresses were seen in an hour, and the sums of a day, are exact.
package contacts
