// Package report shows in one document what happened in a period: whether the program saw
// anything at all, what needs somebody, which hosts of ours are in trouble, who is new and who
// came back, what fired, what the feeds were good for, and what was silenced. [Make] reads
// a store of incidents once; a [Report] is then written as text of 80 columns, as one HTML file
// that prints, as CSV files or as JSON.
//
// A report is given to others: what only listings of a restricted TLP label know is left
// out and counted. [Schedule] has the times at which it is sent by mail.
//
// Called by the report command and by cmd/internal/app, which own files, mail and time.
package report
