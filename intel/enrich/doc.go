// Package enrich finds the country and the autonomous system of an address in databases of the
// MaxMind format (.mmdb), and stamps events with those of their offender. It knows the fields
// of GeoLite2 and GeoIP2 (Country, City, ASN), of DB-IP and of IPinfo; of several databases
// the first that has a country, or an AS, gives it.
//
// A database is read whole into memory of its own, outside the heap, and not mapped: a file
// that is cut short or written over while it is mapped would give wrong answers, or kill the
// process with SIGBUS. This takes as much memory as the files have (GeoLite2 Country and ASN
// about 20 MB), and Config.MaxBytes bounds it. Changed files are read again within two minutes; until a
// whole one is there, the copy in memory answers.
//
// One lookup costs about a microsecond for each database. It is made once for each event,
// never for each flow.
package enrich
