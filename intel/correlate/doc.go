// Package correlate turns hits into events. The [Correlator] is the single owner of the
// contacts: it rolls hits up, judges them and publishes what has changed as events.
// cmd/internal/app makes one and runs it behind a bounded queue (package queue), replay
// calls it directly.
//
// A contact is offender, local address, protocol and service port; both directions
// of a conversation are one contact. The rooms below have one part each, and none of them
// a clock, a table of contacts or an event of its own:
//
//   - conversation reads a hit, and knows what the flows of one conversation have shown;
//   - dedup remembers flows, so that several exporters of one flow count once;
//   - listing holds what the tables have of offenders, each text once, and tallies hits;
//   - score weighs both into a number and one line of words;
//   - fold has the rules by which a scan becomes one contact, and its counts;
//   - packed has the addresses and times that contacts keep.
//
// Here are the table of contacts with its bounds, the life of a contact, and the events.
//
// # When there is an event
//
// The first hit of a contact is an event at once, and so is an answer or a higher
// severity than that of the events before. Other news (counts, exporters, score) waits for
// the next update: one minute, five minutes, one hour after the first hit and every hour
// from then on. A contact without news makes no event, not even when it ends or has to
// make room. That "answered" turns from unknown to no because time has passed is no news.
//
// # What gives way
//
// Contacts are held up to a cap. When it is reached the least severe make room, by the
// highest severity that their events had; each is counted by it.
package correlate
