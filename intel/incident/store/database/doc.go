// Package database is the SQL database of the incidents: SQLite in a file, or PostgreSQL, with
// one way of writing for both. It opens it and brings its schema up to date ([Open]), gives one
// writing transaction at a time ([DB.Begin]) and connections for reading ([DB.Read]), and
// writes and reads rows by the thousand ([Tx.Put], [Tx.Fetch]): row by row PostgreSQL would be
// thirty times slower, and SQLite twice.
//
// Statements for both are written in SQL that both understand: parameters are $1, numbers and
// times (seconds since 1970, UTC) are BIGINT, addresses are 16 bytes. [DB.SQL] puts in what they
// call differently. A damaged SQLite file is moved aside, see [DB.Aside].
//
// The drivers are modernc.org/sqlite, which needs no C compiler and builds for arm v6, and
// pgx, the only PostgreSQL driver that passes arrays through database/sql.
package database
