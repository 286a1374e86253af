// Package position is where the sinks are in one lane of the journal: the next event of
// each, what became of those before, and the files that keep that over a restart. It finds
// what events are still needed, notices when the position of a sink was lost, and gives up
// those of sinks that are no longer configured. Package journal owns the lanes and calls it.
package position
