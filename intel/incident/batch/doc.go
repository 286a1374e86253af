// Package batch puts events together until they are written to the store of incidents: a
// [Batch] has what is new of each contact and each offender, in little memory, as one
// transaction writes it. Order and repeats of events make no difference: the counters of a
// contact are running totals, of which the latest count, and everything else is a union or an
// extreme. Texts from outside lose here what would control a terminal, and their excess
// length.
package batch
