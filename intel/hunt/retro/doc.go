// Package retro looks back: when a list brings an address, it searches the contact history for
// who of us talked to it before, and sends what it finds as events of kind hit with
// [event.Event.Retro], once for each listed prefix and contact.
//
// Each new set is compared with what is known to have been listed (package listed). What is
// new becomes a job in a file of the folder, with the time at which it came into force, before
// anything else happens: a crash forgets no job. One goroutine does all jobs that are there
// together, the operator's own word first, with a pause after each file of the history. A job
// counts as done when its last event is in the journal; after a crash, or an error of the disk,
// it is done again from its beginning, which is bounded by the size of the history. Which events
// have been sent is on the disk as well (package sent): what comes again is not sent again.
//
// With the journal's durability always neither kill -9 nor a power cut takes an event: its id is
// noted after the journal has it on the disk. Of the contacts in between, one batch of 256 at most
// for each crash, the events come again, with the same ids; sinks repeat by their own rules.
// With the durabilities on-outage and memory a crash may take events that are noted as sent,
// those that were only in memory: they do not come again, and 'flowsnitch hunt' finds them.
//
// What counts is what began before the listing and has met no live match:
//
//   - files of the history that began before the listing, after a flush that follows it;
//   - rows that began before the listing, and whose time met no listing of the address, not of
//     this one, and not of another or an earlier one;
//   - of a file that has both what came before the listing and what came after it, no
//     contact with a live hit since then, of which 65,536 are remembered. After a crash they
//     are not known any more: such a contact may be a live hit and one of the past.
//
// All rows of a contact over all files are one event. What is listed with a port is looked for
// at the end that the service is on: contacts that the listed address opened have no known port
// at its end. What the allowlist, warninglists and exclusions of the table in force keep from
// being a hit is none here.
//
// Prefixes of IPv4 shorter than /16 and of IPv6 shorter than /32, and all contacts of a job
// that has more than 10,000, are counted and named in one alert, not sent one by one.
// Entries that came while they were in quarantine are not hunted. IPv6 addresses that carry a
// listed IPv4 address are found by it, as live hits are, but for those that no range holds (Teredo,
// ISATAP), see [intel.Embedding.Carriers].
package retro
