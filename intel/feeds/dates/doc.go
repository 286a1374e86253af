// Package dates reads dates and times as lists and servers write them: by machines, by people
// in a dozen languages, and in comments such as "Last updated: 30 mars 2026", where the
// time of the data is kept apart from the date of anything else. The formats of lists use it, and the
// sources that are read piece by piece.
package dates
