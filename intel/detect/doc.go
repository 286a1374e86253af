// Package detect finds what no single hit can show: many sources that each try once, two that
// probe the same ports in the same seconds, calls that come back like a clock. It runs the
// rules of package rule over hits, which are events of the journal, and over contacts, which
// are rows of the history.
//
// An [Engine] has the rules over one of both and the state of their windows. It belongs to one
// goroutine, reads no clock and does no I/O: it is given observations in the order of their
// receipt and gives [Alert]s. The same observations give the same alerts, so that a replay
// after a crash gives the same ids.
//
// Over hits each observation is judged at once. Over contacts an observation is what a contact
// had in one interval of the history, and time is counted by the hour of receipt, which no
// interval crosses: what is only as long as an interval would make alerts depend on how often
// tables are written. Counts that only grow within an hour are judged after each interval,
// all others when the hour is complete.
//
// Everything is bounded. When there are too many groups, or they take too much memory, those
// go that have come least far towards their condition, and are counted.
package detect
