// Package file keeps contacts in Parquet files, one for each interval, hour or day, sorted
// by outside address, so that the file is its own index. It owns the names of the files,
// their form, and the three things done with them: a [Writer] makes one, [File.Search]
// finds the rows of outside addresses, [Merge] makes one of several. Which files there
// are, and which are merged or removed when, is decided by its callers, the store of the
// history and the hunt.
//
// A Parquet reader trusts what it reads: one flipped bit in the footer makes it allocate
// without limit or leave out rows. So no byte gets to it unchecked. The name of a file
// has a CRC-32C of everything from the first column index to the end. In there, in the
// key-value metadata, is a CRC-32C of each block of 16 KiB before it. Damage is an error
// of type [*DamagedError], never a missing row.
package file
