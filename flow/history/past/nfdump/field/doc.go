// Package field has the fields of a flow and reads their values, as versions of nfdump spell
// them: names of fields in csv and JSON, addresses, ports and types of ICMP, protocols as
// numbers or words, flags as letters, durations, and times of a zone that is not named. A
// [Parser] puts the values of one row into a [Flow].
package field
