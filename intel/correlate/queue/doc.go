// Package queue takes hits from the workers to the one goroutine that correlates them. Each
// worker has a [Gatherer], which packs its hits into batches of bounded size; a [Loop]
// owns the queue of these batches and the goroutine that empties it. No worker ever waits.
//
// Hits wait in lanes by the severity that they could reach, and the queue holds so many of
// them. When it is full the least severe give way, each counted by its severity. Canaries
// have a lane of their own, which hits cannot fill.
//
// cmd/internal/app makes the loop around the correlator; replay goes without a queue, see
// [Direct].
package queue
