// Package intake takes events from the journal to the store of incidents. An [Intake] has the
// methods of a sink that holds what it was given until a commit has it: so the journal
// releases only events that are in the database, and after a crash the others come again.
// What is held is put together as it comes, see package batch, and committed once a minute,
// when there is no more room for it, and at the end. While the database is away nothing more
// is taken once the room is used up: it stays in the journal.
package intake
