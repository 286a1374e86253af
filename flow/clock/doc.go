// Package clock tells how far the wall clock of the machine can be trusted, and what
// time it is when it cannot.
//
// A Raspberry Pi has no clock that runs while it is off: it starts in some year, and
// jumps when the network tells it the time. Windows, timeouts and ages go by the
// monotonic clock everywhere in this program. What needs the date itself, such as the
// expiry of an indicator, asks [Clock.Now].
package clock
