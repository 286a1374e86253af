// Package clock decides whether the wall clock of the machine can be trusted, and provides
// the best known time while it cannot. It also has the [Beat] by which goroutines show that
// they are running.
//
// A Raspberry Pi has no clock that runs while it is off: it starts at some past date, and
// jumps when NTP sets it. Windows, timeouts and ages therefore use the monotonic clock
// everywhere in this program. Code that needs the date itself, such as the expiry of an
// indicator, calls [Clock.Now]. cmd/internal/app owns the one Clock and calls Look every
// second; the trusted time survives restarts in the state directory.
package clock
