// Package store keeps the incidents in a database, SQLite or PostgreSQL: one row for each
// offender, with what each host of ours, each day, each service and each feed has to do with
// it, and what people did. [Store.Commit] adds a batch of events in one transaction, exactly
// once however often they come: the table contact has the numbers of the events of each
// contact that were counted, and its running totals, of which the difference is added.
// [Store.Act] is what people decide. [Store.Prune] forgets what is old or too much, see
// package forget.
//
// A contact is remembered for eight days after its last event, which is longer than the journal
// keeps one; an update of one that was forgotten counts from its totals. Retro hits have only
// their first and last day. Silenced events are counted and change no state. A file of SQLite
// that is damaged is moved aside, and a new one begun: what it had is lost to the program.
//
// What the tables have is in package schema. A host of ours is in the tables only once, by a
// number, because many incidents share it.
package store
