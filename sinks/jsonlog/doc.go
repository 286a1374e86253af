// Package jsonlog is the hit log: a file with one line per event, JSON by default, which
// OSSEC, Wazuh, Filebeat or a human with tail reads while it is written.
//
// Readers take what is there at any moment for whole lines, so the file holds
// nothing else: an event is one write(2), its newline included, to a file opened
// with O_APPEND, and no longer than [event.MaxLine]. A write that a full disk cut
// short is taken back at once; where even that fails, or a crash left half a line,
// a newline comes before the next event.
//
// The log is rotated by renaming it and creating a new one, never by truncating it,
// which makes OSSEC lose lines. Old files get the time of their rotation, in UTC, as a
// suffix (hits.json-20261121-101500) and keep that name for good: numbered files would
// all be renamed at each rotation, under readers that know a file by its name, and a
// crash in the midst would leave a gap. They stay uncompressed and, unless there are
// twice as many as asked for, for at least three minutes, for that is how long OSSEC
// may take to notice the new one.
//
// With compress, they are compressed after that, by a goroutine of the log's own, which
// writes a temporary file first: PATH.gz is always whole.
//
// Events are not synced to the disk: a crash of the process loses none that was
// written, a power cut may lose the last seconds.
//
// When something else renames or removes the file (logrotate), this is seen before
// the next batch of events. A lock on PATH.lock keeps a second process away: two
// could append, but not rotate or repair.
package jsonlog
