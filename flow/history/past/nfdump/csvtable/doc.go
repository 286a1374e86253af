// Package csvtable reads the tables of csv that nfdump prints: that of version 1.6 to 1.7.4, whose
// first line may be left out, and those of later versions with fields of the user's choice.
// The first line names the fields of all rows behind it, up to the next one.
package csvtable
