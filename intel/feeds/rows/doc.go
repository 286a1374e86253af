// Package rows reads lists that people and providers write as text, one row a line: plain
// lists with addresses, prefixes and ranges, CSV in its dialects, and the text lists of
// DShield, Spamhaus and dataplane.org. The table of formats in package feeds calls it.
package rows
