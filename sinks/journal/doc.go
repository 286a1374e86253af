// Package journal holds events from the moment they exist until every sink has had them.
//
// An event exists once [Journal.Append] has it, before any sink sees it. Sinks
// follow at their own pace, each with its own retries, filter and limit, and save
// their place; a slow or dead sink holds up nothing but the oldest segment, and that
// only within the journal's bounds of bytes and age. A sink gets every event at
// least once, but for those that the bounds, its filter or its limit took, which are
// counted. What each [Durability] may lose is said there.
//
// There are two lanes. Events of high and critical severity and alerts are urgent: a
// quarter of the room is kept for them, a sink that is behind gets them first, and they
// are the last to be dropped. Within a lane events keep the order in which they were
// appended.
//
// Each event is one record with a checksum, see package record for the form of a file. A
// lane is a directory with segments named after the number of their first event (.events),
// one file for each sink's place (.cursor), the list of the sinks, and a lock. That of the
// urgent lane is within that of the other, which is what a journal was before it had lanes.
//
// This package owns the two lanes, the room that they share, and the cursors of the runners.
// What a lane is made of has packages of its own: memory (the newest events), segment (the
// files of events), position (where the sinks are), upon folder (the directory and what is
// wrong with the disk) and record (one event in a file).
//
// It is our own because the libraries at hand do not keep the promise.
// github.com/tidwall/wal (v1.2.1, 2025, MIT) has no checksums: a flipped bit comes
// out as if it were written. It refuses to open with a torn tail (its issue 21), and
// keeps the whole newest segment in memory. github.com/nsqio/go-diskqueue (v1.1.0,
// 2021, MIT) has one reader, one write system call for each message, no checksums,
// and knows where its end is from a file that is written now and then: of 1,000
// messages put before a kill none was there after it. Neither has cursors, bounds,
// or a way to stay off the disk.
package journal
