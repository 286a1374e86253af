// Package follow runs the engines of package detect while the program works: [Hits] follows the
// journal like a sink, [Contacts] the files of the history.
//
// Both keep their state in a file of their own, and begin again from there after a crash: the
// journal still has the events that no saved state has, and the history the files of the hours
// that none has. Alerts that this raises again have the ids that they had, and [Raised] knows
// which of these have been sent.
package follow
