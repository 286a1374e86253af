// Package past makes histories of flows that we have not seen: of captures of export packets,
// and of what nfdump prints of its files. Each import has a folder of its own below
// history/import with the same form of files as the history of an instance, so that a hunt
// can be in both. It is apart from retention and has a cap of its own.
//
// Captures go through the decoder and a recorder, with the time of the capture as the clock.
// Rows of nfdump are written as IPFIX messages of their exporter first, so that who is inside,
// who opened the contact, and what an answer is are decided by the same code for all.
//
// The rows of an hour, by the time of receipt, make a file; several hours are open at once, as
// inputs are only roughly in order. At the end the files of a day are merged. All of that
// happens in a folder aside, which becomes visible as a whole ([Import.Finish]): an import that
// is interrupted leaves nothing, except after the last step of an addition has begun, which
// the next command completes.
package past
