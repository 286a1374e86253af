// Package listing keeps what the tables have of the offenders of all contacts: in a [Pool],
// packed and each once, as most offenders of a feed share all but their address. A [Tally]
// counts hits by what lists their offender: per feed and direction since the beginning, and
// per prefix since it was last asked, for the watch of entries that match too much.
package listing
