// Package story has an incident, or a host of ours, in sentences that a person reads at three
// in the morning: which host, since when, is it worse than yesterday, who has looked at it,
// and what to do about it. It reads nothing and prints nothing: it is given what the store
// has, and the time.
//
// Foreign text (reasons, names of feeds and networks, notes) comes out in one line without
// control characters, and cut. Times are in the zone of the time that is given, days by UTC
// as they are counted.
//
// Called by the commands, the API and whatever sends messages to people.
package story
