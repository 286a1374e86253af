// Package window counts what one group of a rule has had within a sliding window: sums
// ([Sums]), distinct values ([Distinct]), ports in their seconds ([Track]), intervals
// ([Pace]), and what is usual ([Usual]).
//
// Times are numbers of slots: a slot is a second or more, and a window is a number of slots
// that ends with the current one. What is older than the window is never counted. Each
// counter has a bound, and shows how many bytes it takes; package detect owns the bound of
// all together.
package window
